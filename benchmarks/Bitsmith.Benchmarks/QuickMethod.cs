using System.Diagnostics;
using System.Globalization;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Benchmarks;

/// <summary>
/// Methods of calibration beside the forward pass alone, in the first layer of a model: random tokens run through the layer with nothing looking on, then through all that calibration does with it, the second run with
/// the quantized weights included. What does not depend on the tokens (the search of factors, the encoding) is told apart from what does by runs of two lengths, which say what a release of 512 samples of 2048 tokens
/// takes. The parts of a method are what it takes beyond 'search', which has neither second moments nor factors.
/// </summary>
internal static class QuickMethod
{
    private const long ReleaseTokens = 512 * 2048;

    // The shorter run has this part of the longer one's tokens.
    private const int Shorter = 8;

    /// <summary>Measures and prints seconds, ratios and parts.</summary>
    /// <param name="folder">A model folder of at least two layers; it needs no tokenizer.</param>
    /// <param name="work">The work folder, removed at the end.</param>
    /// <param name="scheme">The preset that weights are quantized to.</param>
    /// <param name="methods">The methods.</param>
    /// <param name="samples">Samples of 512 tokens of the longer run.</param>
    public static void Run(string folder, string work, string scheme, IReadOnlyList<string> methods, int samples)
    {
        QuantizationPlan plan;
        using (QuantizationJob job = QuantizationJob.Prepare(new JobOptions { Model = folder, Output = string.Empty, Recipe = Presets.Get(scheme) }))
        {
            plan = job.Plan;
        }

        using ModelWeights weights = ModelWeights.Open(folder);
        ComputeOptions compute = ComputeOptions.Fastest;
        LanguageModel model = LanguageModel.Create(weights, compute);
        CalibrationData[] lengths = [QuickCalibration.RandomTokens(model, Math.Max(1, samples / Shorter)), QuickCalibration.RandomTokens(model, samples)];
        _ = QuickCalibration.Forward(model, lengths[0], 1, allExperts: false); // weights are read once before
        double[] alone = [.. lengths.Select(data => QuickCalibration.Forward(model, data, 1, allExperts: false))];
        Parts[] plain = [.. lengths.Select(data => Measure(CalibrationMethod.Search, data))];
        List<(string Name, Parts[] Found)> found = [.. methods.Select(name => (name, (Parts[])[.. lengths.Select(data => Measure(CalibrationMethods.Parse(name), data))]))];
        for (int i = 0; i < lengths.Length; i++)
        {
            alone[i] = Math.Min(alone[i], QuickCalibration.Forward(model, lengths[i], 1, allExperts: false));
        }

        Print($"{scheme}, one layer, {compute.Threads} threads, {compute.InstructionSet}; forward pass alone {lengths[0].Tokens / alone[0]:0} and {lengths[1].Tokens / alone[1]:0} tokens/s");
        double forward = Slope(alone);
        foreach ((string name, Parts[] of) in found)
        {
            for (int i = 0; i < lengths.Length; i++)
            {
                (Parts all, double one) = (of[i], alone[i]);
                double moments = all.Observer - plain[i].Observer, search = all.Finish - plain[i].Finish;
                string cost = string.Create(CultureInfo.InvariantCulture, $"in forward passes: first run {(all.Run - all.Observer) / one:0.00}, statistics {plain[i].Observer / one:0.00}, second moments {moments / one:0.00}, "
                    + $"factors or rounding {search / one:0.00} ({search:0.0} s), encoding {plain[i].Finish / one:0.00} ({plain[i].Finish:0.0} s), run of quantized weights {all.Again / one:0.00}");
                Print($"{name}, {lengths[i].Tokens} tokens: {all.Total:0.0} s, forward pass alone {one:0.0} s, ratio {all.Total / one:0.000}; {cost}");
            }

            double each = Slope([.. of.Select(parts => parts.Total)]), once = of[1].Total - (each * lengths[1].Tokens);
            Print($"{name}, {ReleaseTokens} tokens by the line through both: {once:0.0} s and {each * 1e3:0.000} ms/token, release ratio {(once + (each * ReleaseTokens)) / (forward * ReleaseTokens):0.000}");
        }

        double Slope(double[] seconds) => (seconds[1] - seconds[0]) / (lengths[1].Tokens - lengths[0].Tokens);

        Parts Measure(CalibrationMethod method, CalibrationData data)
        {
            using CancellationTokenSource stop = new();
            using WeightCalibration calibration = new([plan], new WeightCalibrationOptions { Method = method });
            Timed timed = new(calibration, stop);
            using CalibrationPipeline pipeline = CalibrationPipeline.Prepare(model, data, timed, compute, new PipelineOptions { WorkFolder = work, Force = true });
            try
            {
                pipeline.Run(null, stop.Token);
            }
            catch (OperationCanceledException)
            {
                pipeline.Complete();
            }

            return timed.Parts;
        }
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>Seconds of a layer.</summary>
    /// <param name="Run">The run of the original weights, with what looks on.</param>
    /// <param name="Observer">What looks on.</param>
    /// <param name="Finish">What is made of it: factors, codes and scales.</param>
    /// <param name="Again">The run of the quantized weights.</param>
    private readonly record struct Parts(double Run, double Observer, double Finish, double Again)
    {
        public double Total => Run + Finish + Again;
    }

    /// <summary>Measures the first layer and stops the job behind it.</summary>
    private sealed class Timed(WeightCalibration inner, CancellationTokenSource stop) : ILayerCalibration, IForwardObserver
    {
        private readonly Stopwatch clock = new(), observer = new();
        private IForwardObserver? observing;
        private double run, finish;

        public Parts Parts { get; private set; }

        public string Settings => inner.Settings;

        public bool AllExperts => inner.AllExperts;

        public bool ReplacesWeights => inner.ReplacesWeights;

        public long MemoryBytes(IDecoderLayer layer) => inner.MemoryBytes(layer);

        public IForwardObserver Begin(CalibrationLayer layer)
        {
            observing = inner.Begin(layer);
            clock.Start();
            return this;
        }

        public LayerWeights Finish(CalibrationLayer layer)
        {
            run = clock.Elapsed.TotalSeconds;
            LayerWeights weights = inner.Finish(layer);
            finish = clock.Elapsed.TotalSeconds - run;
            return weights;
        }

        public void Write(int layer, Stream target)
        {
            Parts = new Parts(run, observer.Elapsed.TotalSeconds, finish, clock.Elapsed.TotalSeconds - run - finish);
            inner.Write(layer, target);
            stop.Cancel();
        }

        public void Read(int layer, Stream source) => inner.Read(layer, source);

        public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens)
        {
            observer.Start();
            observing!.OnLinearInput(linear, input, tokens);
            observer.Stop();
        }

        public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden) => observing!.OnLayerOutput(layer, hidden);

        public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights) => observing!.OnRouted(layer, token, experts, weights);
    }
}

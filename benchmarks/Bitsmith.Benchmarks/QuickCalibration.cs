using System.Diagnostics;
using System.Globalization;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Benchmarks;

/// <summary>
/// Calibration beside the forward pass alone: random tokens through a model layer by layer, in turns with nothing looking on and with the statistics of every Linear's input taken, hidden states written to the
/// work folder. The best of each; weights are read once before.
/// </summary>
internal static class QuickCalibration
{
    private const int SampleTokens = 512;

    /// <summary>Measures and prints tokens per second, their ratio, and the most memory that the process took.</summary>
    /// <param name="folder">A model folder; it needs no tokenizer.</param>
    /// <param name="work">The work folder, removed at the end.</param>
    /// <param name="samples">Samples of 512 tokens.</param>
    /// <param name="rounds">Rounds of both.</param>
    /// <param name="allExperts">Every expert sees every token, in both.</param>
    /// <param name="maxMemory">Most bytes of memory, or null.</param>
    public static void Run(string folder, string work, int samples, int rounds, bool allExperts, long? maxMemory)
    {
        using ModelWeights weights = ModelWeights.Open(folder);
        ComputeOptions compute = ComputeOptions.Fastest;
        LanguageModel model = LanguageModel.Create(weights, compute);
        CalibrationData data = RandomTokens(model, samples);
        StatisticsOptions options = new() { AllExperts = allExperts, Unseen = UnseenExpert.AllTokens };
        double alone = double.PositiveInfinity, with = double.PositiveInfinity;
        for (int round = 0; round < rounds; round++)
        {
            alone = Math.Min(alone, Forward(model, data, model.Layers.Count, allExperts));
            using CalibrationStatistics statistics = new(options);
            using CalibrationPipeline pipeline = CalibrationPipeline.Prepare(model, data, statistics, compute, new PipelineOptions { WorkFolder = work, MaxMemoryBytes = maxMemory, Force = true });
            Stopwatch clock = Stopwatch.StartNew();
            pipeline.Run(null, CancellationToken.None);
            with = Math.Min(with, clock.Elapsed.TotalSeconds);
            pipeline.Complete();
            if (round == 0)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"stated peak {pipeline.Needs.PeakBytes / 1e9:0.00} GB, hidden states {pipeline.Needs.HiddenStateBytes / 1e9:0.000} GB {(pipeline.Needs.InMemory ? "in memory" : "in their file")}"));
            }
        }

        using Process process = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{data.Tokens} tokens, {model.Layers.Count} layers, {(allExperts ? "all experts" : "routed experts")}, {compute.Threads} threads, {compute.InstructionSet}"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"forward pass {data.Tokens / alone:0.0} tokens/s, with statistics {data.Tokens / with:0.0} tokens/s, ratio {with / alone:0.000}, resident at most {process.PeakWorkingSet64 / 1e9:0.00} GB"));
    }

    /// <summary>Samples of 512 tokens, the same at every call.</summary>
    internal static CalibrationData RandomTokens(LanguageModel model, int samples)
    {
        Random random = new(1);
        return CalibrationData.OfTokens([.. Enumerable.Range(0, samples).Select(_ => Enumerable.Range(0, SampleTokens).Select(_ => random.Next(model.Config.VocabSize)).ToArray())]);
    }

    /// <summary>Seconds of the first layers alone, with as many tokens at once as the pipeline runs.</summary>
    internal static double Forward(LanguageModel model, CalibrationData data, int layers, bool allExperts)
    {
        const int AtOnce = 2048 / SampleTokens;
        using ForwardPass pass = model.NewPass(allExperts: allExperts);
        float[][] hidden = [.. data.Samples.Chunk(AtOnce).Select(batch => model.Embed([.. batch.SelectMany(sample => sample.Tokens)]))];
        Stopwatch clock = Stopwatch.StartNew();
        for (int layer = 0; layer < layers; layer++)
        {
            KvCache[] caches = [.. Enumerable.Range(0, AtOnce).Select(_ => model.NewLayerCache(layer, SampleTokens))];
            foreach (float[] batch in hidden)
            {
                model.Begin(pass, [.. caches.Take(batch.Length / model.Config.HiddenSize / SampleTokens).Select(cache => new SequenceRun(cache, SampleTokens))]);
                model.RunLayers(batch, pass, layer, 1);
            }

            Array.ForEach(caches, cache => cache.Dispose());
            model.ReleaseLayer(layer);
        }

        return clock.Elapsed.TotalSeconds;
    }
}

using System.Diagnostics;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Evaluation.Speed;

/// <summary>
/// Measures a language model's speed as llama-bench does: random tokens in an empty context; of a prompt only the last token's logits are computed, of generated tokens each one's, and the next
/// token is random again, so that sampling costs nothing. Each test runs once unmeasured, then as often as asked.
/// </summary>
public static class SpeedBench
{
    /// <summary>Opens a model and measures it. Tokenizer and chat template are not needed.</summary>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="settings">What to measure and how.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="progress">Told of each run.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="CheckpointException">It is no checkpoint that can be run.</exception>
    public static SpeedReport Run(string path, SpeedSettings settings, TimeProvider clock, IProgress<SpeedProgress>? progress, CancellationToken cancellationToken)
    {
        using ModelWeights weights = Open(path, settings, out LanguageModel model, out SpeedReport report);
        return report with { Results = Measure(model, settings, clock, progress, cancellationToken) };
    }

    /// <summary>Opens a model and measures it, then the machine itself, to say what share of its bandwidth and peak was reached.</summary>
    /// <inheritdoc cref="Run" path="/param"/>
    /// <exception cref="CheckpointException">It is no checkpoint that can be run.</exception>
    public static SpeedReport RunBesideMachine(string path, SpeedSettings settings, TimeProvider clock, IProgress<SpeedProgress>? progress, CancellationToken cancellationToken)
    {
        using ModelWeights weights = Open(path, settings, out LanguageModel model, out SpeedReport report);
        IReadOnlyList<SpeedResult> results = Measure(model, settings, clock, progress, cancellationToken);
        using Process process = Process.GetCurrentProcess();
        long memory = process.PeakWorkingSet64;
        string kind = PeakKind(model, ComputeOptions.On(settings.Threads, settings.ExactActivations));
        MachineReport machine = Machine.Examine(clock, null, cancellationToken, settings.Threads);
        double? bandwidth = machine.Bandwidth.BytesPerSecond.LastOrDefault()?.Best, peak = machine.Peaks.FirstOrDefault(one => one.Kind == kind)?.OperationsPerSecond[^1].Best;
        TokenCost cost = model.CostPerToken;
        return report with
        {
            PeakMemoryBytes = memory,
            Bandwidth = bandwidth,
            Peak = peak,
            PeakKind = peak is null ? null : kind,
            Results = [.. results.Select(result => result with
            {
                BandwidthShare = result.PromptTokens == 0 ? cost.Bytes * result.TokensPerSecond / bandwidth : null,
                PeakShare = result.GeneratedTokens == 0 ? cost.Operations * result.TokensPerSecond / peak : null,
            })],
        };
    }

    /// <summary>The arithmetic that most operations of the Linears use.</summary>
    private static string PeakKind(LanguageModel model, ComputeOptions compute) => model.Layers
        .SelectMany(layer => layer.Linears)
        .GroupBy(linear => linear.Weight.InputPrecision(compute), (precision, linears) => (Precision: precision, Elements: linears.Sum(linear => (long)linear.Weight.Rows * linear.Weight.Columns)))
        .MaxBy(kind => kind.Elements).Precision switch
    {
        "bf16" => "bf16_dot",
        "f32" => "f32_fma",
        _ => "int8_dot",
    };

    private static ModelWeights Open(string path, SpeedSettings settings, out LanguageModel model, out SpeedReport report)
    {
        ArgumentNullException.ThrowIfNull(settings);
        CheckpointSummary summary = CheckpointSummary.Create(path);
        ModelWeights weights = ModelWeights.Open(path);
        try
        {
            ComputeOptions compute = ComputeOptions.On(settings.Threads, settings.ExactActivations);
            model = LanguageModel.Create(weights, compute, settings.ExactActivations);
            report = new SpeedReport(
                path,
                summary.ModelType,
                summary.Parameters,
                summary.TensorBytes,
                summary.Quantization,
                settings.ExactActivations ? "exact" : "scheme",
                compute.BFloat16Inputs ? "bf16" : "f32",
                settings.CacheType.SafetensorsName().ToLowerInvariant(),
                settings.Threads,
                compute.InstructionSet.ToString().ToLowerInvariant(),
                GenerationSession.PassTokens,
                settings.Repetitions,
                settings.Seed,
                Machine.CpuName,
                Machine.Version,
                []);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Measures an open model.</summary>
    /// <param name="model">The model; its own threads count, not those of the settings.</param>
    /// <param name="settings">What to measure and how.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="progress">Told of each run.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    public static IReadOnlyList<SpeedResult> Measure(
        LanguageModel model, SpeedSettings settings, TimeProvider clock, IProgress<SpeedProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.Repetitions, 1);
        Random random = new(settings.Seed);
        using ForwardPass pass = model.NewPass();
        float[] hidden = new float[GenerationSession.PassTokens * model.Config.HiddenSize], logits = new float[model.Config.VocabSize];
        List<SpeedResult> results = [];
        foreach (SpeedTest test in settings.Tests)
        {
            List<double> rates = [];
            for (int run = 0; run <= settings.Repetitions; run++)
            {
                int[] tokens = [.. Enumerable.Range(0, test.Tokens).Select(_ => random.Next(model.Config.VocabSize))];
                long start = clock.GetTimestamp();
                RunOnce(model, pass, hidden, logits, tokens, test.PromptTokens, settings.CacheType, cancellationToken);
                double rate = test.Tokens / clock.GetElapsedTime(start).TotalSeconds;
                progress?.Report(new SpeedProgress(test, run, rate));
                if (run > 0)
                {
                    rates.Add(rate);
                }
            }

            results.Add(SpeedResult.Of(test, rates));
        }

        return results;
    }

    /// <summary>Runs the tokens as a <see cref="GenerationSession"/> does.</summary>
    private static void RunOnce(LanguageModel model, ForwardPass pass, float[] hidden, float[] logits, int[] tokens, int promptTokens, ElementType cacheType, CancellationToken cancellationToken)
    {
        int width = model.Config.HiddenSize, start = 0;
        using KvCache cache = model.NewCache(tokens.Length, cacheType);
        while (start < tokens.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = start < promptTokens ? Math.Min(GenerationSession.PassTokens, promptTokens - start) : 1;
            Memory<float> state = hidden.AsMemory(0, count * width);
            model.Embed(tokens.AsSpan(start, count), state.Span);
            model.Begin(pass, new SequenceRun(cache, count));
            model.Forward(state, pass);
            start += count;
            if (start >= promptTokens)
            {
                model.Logits(state[^width..], logits, pass);
            }
        }
    }
}

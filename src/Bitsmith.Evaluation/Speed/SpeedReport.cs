using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bitsmith.Evaluation.Speed;

/// <summary>A measured test.</summary>
/// <param name="Test">Its name, for example <c>pp512</c>.</param>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="GeneratedTokens">Tokens generated.</param>
/// <param name="TokensPerSecond">Mean of the runs' rates.</param>
/// <param name="StandardDeviation">Sample standard deviation of the runs' rates (n - 1); 0 for one run.</param>
/// <param name="Runs">Tokens per second of each run.</param>
public sealed record SpeedResult(string Test, int PromptTokens, int GeneratedTokens, double TokensPerSecond, double StandardDeviation, IReadOnlyList<double> Runs)
{
    /// <summary>Of a test that only generates: the bytes of weights that its tokens read in a second, over the memory bandwidth that was measured; else null.</summary>
    public double? BandwidthShare { get; init; }

    /// <summary>Of a test that only reads a prompt: the operations of its Linears in a second, over the peak that was measured of the arithmetic that most of them use; else null.</summary>
    public double? PeakShare { get; init; }

    /// <summary>Sums up the runs of a test.</summary>
    /// <param name="test">The test.</param>
    /// <param name="runs">Tokens per second of each run, at least one.</param>
    public static SpeedResult Of(SpeedTest test, IReadOnlyList<double> runs)
    {
        ArgumentNullException.ThrowIfNull(test);
        ArgumentNullException.ThrowIfNull(runs);
        double mean = runs.Average();
        double deviation = runs.Count == 1 ? 0 : Math.Sqrt(runs.Sum(run => (run - mean) * (run - mean)) / (runs.Count - 1));
        return new SpeedResult(test.Name, test.PromptTokens, test.GeneratedTokens, mean, deviation, runs);
    }
}

/// <summary>How fast a model runs, with the settings that it was measured under.</summary>
/// <param name="Model">The folder.</param>
/// <param name="ModelType"><c>model_type</c>.</param>
/// <param name="Parameters">Parameters of the checkpoint.</param>
/// <param name="WeightBytes">Bytes of all its tensors.</param>
/// <param name="Quantization">The quantization, one line for each group; empty where there is none.</param>
/// <param name="Activations"><c>scheme</c> or <c>exact</c>.</param>
/// <param name="Inputs">What inputs of BF16 weights are rounded to before products: <c>bf16</c>, or <c>f32</c> for none.</param>
/// <param name="CacheType">What keys and values are stored as.</param>
/// <param name="Threads">Threads.</param>
/// <param name="InstructionSet">The kernels.</param>
/// <param name="PassTokens">Prompt tokens that are run at a time.</param>
/// <param name="Repetitions">Measured runs of each test.</param>
/// <param name="Seed">Chose the random tokens.</param>
/// <param name="Cpu">The processor's name.</param>
/// <param name="Version">Bitsmith's version and commit.</param>
/// <param name="Results">The tests in order.</param>
public sealed record SpeedReport(
    string Model,
    string? ModelType,
    long Parameters,
    long WeightBytes,
    IReadOnlyList<string> Quantization,
    string Activations,
    string Inputs,
    string CacheType,
    int Threads,
    string InstructionSet,
    int PassTokens,
    int Repetitions,
    int Seed,
    string Cpu,
    string Version,
    IReadOnlyList<SpeedResult> Results)
{
    /// <summary>The most memory that the process has held, weights mapped from their file included; null where other work ran in it too.</summary>
    public long? PeakMemoryBytes { get; init; }

    /// <summary>Bytes per second that this machine was measured to read with these threads; null where it was not.</summary>
    public double? Bandwidth { get; init; }

    /// <summary>Operations per second that it was measured to do with them, in the arithmetic that most Linears use; null where it was not.</summary>
    public double? Peak { get; init; }

    /// <summary>That arithmetic: <c>f32_fma</c>, <c>bf16_dot</c> or <c>int8_dot</c>.</summary>
    public string? PeakKind { get; init; }

    /// <summary>The report as JSON, under stable names.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, SpeedJson.Default.SpeedReport);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(SpeedReport))]
internal sealed partial class SpeedJson : JsonSerializerContext;

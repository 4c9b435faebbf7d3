using System.Text.Json;
using System.Text.Json.Serialization;
using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Evaluation.Comparison;

/// <summary>A task's score in a comparison, without its items.</summary>
/// <param name="Task">The task.</param>
/// <param name="Files">The files that the items are from.</param>
/// <param name="Format">What kind of files these are.</param>
/// <param name="Available">Items in the files.</param>
/// <param name="Seed">The seed with which items were drawn.</param>
/// <param name="Score">The score over all items drawn.</param>
/// <param name="Parts">Of several files the score of each.</param>
/// <param name="Notes">What a reader must know.</param>
public sealed record ComparedTask(EvaluationTask Task, IReadOnlyList<string> Files, string Format, int Available, uint Seed, TaskScore Score, IReadOnlyList<TaskPart> Parts, IReadOnlyList<string> Notes);

/// <summary>A model of a comparison and everything that was measured of it.</summary>
/// <param name="Name">Its name in the report.</param>
/// <param name="Fingerprint">Its content, see <see cref="ModelFingerprint"/>.</param>
/// <param name="Model">The model and how it was run.</param>
/// <param name="Perplexity">Its perplexity on the text.</param>
/// <param name="Divergence">How far it lies from the base model; null for the base model itself.</param>
/// <param name="OnFront">True where no other quantized model is at most as large and diverges at most as much, and one of both less.</param>
/// <param name="Layers">Errors of the decoder layers on the passage; empty for the base model.</param>
/// <param name="Passage">The divergence at each scored token of the passage, in nats; empty for the base model.</param>
/// <param name="Tasks">Task scores.</param>
/// <param name="AverageScore">The mean of the tasks' scores in percent; null of fewer than two.</param>
/// <param name="Speed">How fast it runs; null where that was not measured.</param>
public sealed record ComparedModel(
    string Name,
    string Fingerprint,
    ModelConditions Model,
    Estimate Perplexity,
    DivergenceStatistics? Divergence,
    bool OnFront,
    IReadOnlyList<LayerError> Layers,
    IReadOnlyList<float> Passage,
    IReadOnlyList<ComparedTask> Tasks,
    Estimate? AverageScore,
    SpeedReport? Speed);

/// <summary>The passage whose tokens are shown one by one.</summary>
/// <param name="Chunk">The chunk of the text, from 1 on.</param>
/// <param name="Context">What stands before the scored tokens; it is read by the models, and not scored.</param>
/// <param name="Tokens">The scored tokens.</param>
public sealed record Passage(int Chunk, string Context, IReadOnlyList<string> Tokens);

/// <summary>Quantized models beside the model that they were made from.</summary>
/// <param name="Version">Bitsmith's version and commit.</param>
/// <param name="Text">The text that perplexity and divergence were measured on.</param>
/// <param name="TaskContext">Most tokens of an item of a task.</param>
/// <param name="Passage">The passage that layer errors and single tokens are shown of.</param>
/// <param name="Models">The base model, then the others in the order asked for.</param>
/// <param name="Notes">What a reader must know.</param>
public sealed record ComparisonReport(string Version, TextConditions Text, int TaskContext, Passage Passage, IReadOnlyList<ComparedModel> Models, IReadOnlyList<string> Notes)
{
    /// <summary>The file's name in a comparison's folder.</summary>
    public const string FileName = "report.json";

    /// <summary>The base model.</summary>
    [JsonIgnore]
    public ComparedModel Base => Models[0];

    /// <summary>The models compared with it.</summary>
    [JsonIgnore]
    public IEnumerable<ComparedModel> Quantized => Models.Skip(1);

    /// <summary>The report as JSON, under stable names.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, ComparisonJson.Default.ComparisonReport);

    /// <summary>Reads a report.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="CheckpointException">It cannot be read, or is no report.</exception>
    public static ComparisonReport Load(string path)
    {
        try
        {
            ComparisonReport? report = JsonSerializer.Deserialize(File.ReadAllBytes(path), ComparisonJson.Default.ComparisonReport);
            return report is { Models.Count: > 1 } ? report : throw new CheckpointException(path, "is no report of 'bitsmith compare': it has no two models.");
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(path, $"is no report of 'bitsmith compare': {problem.Message}", problem);
        }
    }

    /// <summary>Which models no other outdoes in size and divergence at once.</summary>
    /// <param name="points">Size and divergence of each.</param>
    internal static bool[] Front(IReadOnlyList<(long Bytes, double Divergence)> points) =>
        [.. points.Select(one => !points.Any(other => other.Bytes <= one.Bytes && other.Divergence <= one.Divergence && other != one))];
}

[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ComparisonReport))]
[JsonSerializable(typeof(IReadOnlyList<LayerError>))]
internal sealed partial class ComparisonJson : JsonSerializerContext;

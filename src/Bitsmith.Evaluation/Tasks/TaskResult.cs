using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>The share of items answered rightly, with the error bars that llama-perplexity prints.</summary>
/// <param name="Items">Items scored.</param>
/// <param name="Correct">Those answered rightly.</param>
/// <param name="Choices">Choices of all items.</param>
public readonly record struct TaskScore(int Items, int Correct, int Choices)
{
    private const double NinetyFive = 1.95996398454;

    /// <summary>The score, in percent.</summary>
    public double Percent => 100.0 * Correct / Items;

    /// <summary>Its standard error in points, 100 √(p (1 - p) / (n - 1)); 0 for a single item.</summary>
    public double Error => Deviation((double)Correct / Items);

    /// <summary>The 95 % interval (Wilson 1927).</summary>
    public ConfidenceInterval Interval
    {
        get
        {
            double share = (double)Correct / Items, z = NinetyFive * NinetyFive / Items;
            double half = Math.Sqrt(z * ((4 * share * (1 - share)) + z)) / 2, middle = share + (z / 2);
            return new ConfidenceInterval(100 * (middle - half) / (1 + z), 100 * (middle + half) / (1 + z));
        }
    }

    /// <summary>What guessing gives, in percent, and its standard error in points: items over choices.</summary>
    public Estimate Chance => new(100.0 * Items / Choices, Deviation((double)Items / Choices));

    private double Deviation(double share) => Items > 1 ? 100 * Math.Sqrt(share * (1 - share) / (Items - 1)) : 0;
}

/// <summary>Ends of an interval, in percent.</summary>
/// <param name="Low">The lower end.</param>
/// <param name="High">The upper end.</param>
public readonly record struct ConfidenceInterval(double Low, double High);

/// <summary>What a model chose for an item.</summary>
/// <param name="Place">The item.</param>
/// <param name="Scores">Of each choice the mean log-probability of the tokens that count, in nats.</param>
/// <param name="Choice">The number of the choice with the highest score, from 0 on; of equal ones the first, of WinoGrande the last.</param>
/// <param name="Correct">Whether it is right.</param>
public sealed record ItemResult(ItemPlace Place, IReadOnlyList<double> Scores, int Choice, bool Correct);

/// <summary>A part of a task: the items of one of its files.</summary>
/// <param name="File">The file.</param>
/// <param name="Score">The score of its items that were drawn.</param>
public sealed record TaskPart(string File, TaskScore Score);

/// <summary>How a model does at a task.</summary>
/// <param name="Task">The task.</param>
/// <param name="Format">What kind of files the items are from.</param>
/// <param name="Available">Items in the files.</param>
/// <param name="Seed">The seed with which items were drawn.</param>
/// <param name="Score">The score over all items drawn.</param>
/// <param name="Parts">Of several files the score of each.</param>
/// <param name="Items">What was chosen, in the order drawn.</param>
/// <param name="Notes">What a reader must know.</param>
public sealed record TaskResult(
    EvaluationTask Task, string Format, int Available, uint Seed, TaskScore Score, IReadOnlyList<TaskPart> Parts, IReadOnlyList<ItemResult> Items, IReadOnlyList<string> Notes);

/// <summary>How a model does at several tasks.</summary>
/// <param name="Model">The model, and how it was run.</param>
/// <param name="ContextSize">Most tokens of a text.</param>
/// <param name="Seconds">Time that it took.</param>
/// <param name="Tasks">The tasks, in the order asked for.</param>
public sealed record TasksReport(ModelConditions Model, int ContextSize, double Seconds, IReadOnlyList<TaskResult> Tasks)
{
    /// <summary>The mean of the tasks' scores in percent, and its standard error in points, √(Σ e²) / k; null of fewer than two tasks.</summary>
    public Estimate? Average => Tasks.Count > 1
        ? new Estimate(Tasks.Average(task => task.Score.Percent), Math.Sqrt(Tasks.Sum(task => task.Score.Error * task.Score.Error)) / Tasks.Count)
        : null;

    /// <summary>The report as JSON, under stable names.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, TasksJson.Default.TasksReport);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(TasksReport))]
internal sealed partial class TasksJson : JsonSerializerContext;

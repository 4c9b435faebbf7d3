using System.Globalization;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>The tables by which publishers compare quantized models.</summary>
public static class ComparisonTables
{
    private const string None = "–";

    /// <summary>All tables that there are figures for.</summary>
    public static IReadOnlyList<ReportTable> All(ComparisonReport report) => [.. ((ReportTable?[])[Quality(report), Tasks(report), Speed(report), Distributions(report)]).OfType<ReportTable>()];

    /// <summary>Size, bits per weight, perplexity, correlation, divergence, agreement.</summary>
    public static ReportTable Quality(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return ReportTable.Create(
            "Size, perplexity and KL divergence",
            ["model", ">bits per weight", ">size, GB", "activations", ">μPPL", ">ρPPL, %", ">μKLD", ">same top-p, %", "on the front"],
            report.Models.Select(model => (IReadOnlyList<string>)
            [
                model.Name,
                Text($"{model.Model.BitsPerWeight:0.0000}"),
                Size(model.Model.WeightBytes),
                model.Model.Activations,
                Estimated(model.Perplexity, 6),
                model.Divergence is { } found ? found.Correlation is double correlation ? Text($"{100 * correlation:0.00}") : None : "100",
                model.Divergence is { } divergence ? Estimated(divergence.Mean, 6) : None,
                model.Divergence is { } agreement ? Estimated(Percent(agreement.SameTop), 3) : None,
                model.OnFront ? "yes" : string.Empty,
            ]));
    }

    /// <summary>How divergence and Δp are distributed over the tokens, and the paired ratio of perplexities.</summary>
    public static ReportTable Distributions(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return ReportTable.Create(
            "Distribution over the tokens",
            ["model", ">PPL ratio", ">median KLD", ">95 % KLD", ">99 % KLD", ">99.9 % KLD", ">maximum KLD", ">mean Δp, %", ">RMS Δp, %"],
            report.Quantized.Select(model => (model.Name, Found: model.Divergence!)).Select(row => (IReadOnlyList<string>)
            [
                row.Name,
                Estimated(row.Found.Ratio, 6),
                Nats(row.Found.Divergence.Median), Nats(row.Found.Divergence.P95), Nats(row.Found.Divergence.P99), Nats(row.Found.Divergence.P999), Nats(row.Found.Divergence.Maximum),
                Estimated(Percent(row.Found.MeanDeltaP), 3),
                Estimated(Percent(row.Found.RmsDeltaP), 3),
            ]));
    }

    /// <summary>Scores of tasks and their average; null where none were scored.</summary>
    public static ReportTable? Tasks(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        EvaluationTask[] tasks = [.. report.Models.SelectMany(model => model.Tasks).Select(task => task.Task).Distinct()];
        return tasks.Length == 0 ? null : ReportTable.Create(
            "Task scores, %",
            ["model", .. tasks.Select(task => $">{task.Title()}"), ">average"],
            report.Models.Select(model => (IReadOnlyList<string>)
            [
                model.Name,
                .. tasks.Select(task => model.Tasks.FirstOrDefault(found => found.Task == task) is { } score ? Estimated(new Estimate(score.Score.Percent, score.Score.Error), 4) : None),
                model.AverageScore is { } average ? Estimated(average, 2) : None,
            ]));
    }

    /// <summary>Tokens per second, as llama-bench names its tests; null where none were measured.</summary>
    public static ReportTable? Speed(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        string[] tests = [.. report.Models.SelectMany(model => model.Speed?.Results ?? []).Select(result => result.Test).Distinct()];
        return tests.Length == 0 ? null : ReportTable.Create(
            "Tokens per second on this machine",
            ["model", ">size, GB", ">parameters", ">threads", .. tests.Select(test => $">{test}")],
            report.Models.Where(model => model.Speed is not null).Select(model => (model, Speed: model.Speed!)).Select(row => (IReadOnlyList<string>)
            [
                row.model.Name,
                Size(row.Speed.WeightBytes),
                Text($"{row.Speed.Parameters / 1e9:0.00} B"),
                Text($"{row.Speed.Threads}"),
                .. tests.Select(test => row.Speed.Results.FirstOrDefault(found => found.Test == test) is { } result ? Estimated(new Estimate(result.TokensPerSecond, result.StandardDeviation), 2) : None),
            ]));
    }

    /// <summary>Under which conditions the figures were found, one sentence each.</summary>
    public static IReadOnlyList<string> Conditions(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        ModelConditions basis = report.Base.Model;
        List<string> lines =
        [
            Text($"Text: {Path.GetFileName(report.Text.Source)}, {report.Text.Chunks} chunks of {report.Text.Context} tokens, {report.Text.ScoredTokens} tokens scored (llama-perplexity's definition: the second half of each chunk); SHA-256 of the tokens {report.Text.TokensSha256[..16]}…"),
            Text($"Base: {report.Base.Name} with {basis.Activations} activations. Errors are standard errors that take tokens, or items, as independent; those of ratio and divergence are paired."),
            Text($"Keys and values in {basis.CacheType}; {basis.Threads} thread(s), {basis.InstructionSet}, {basis.Cpu}; Bitsmith {report.Version}."),
        ];
        if (report.Base.Tasks is { Count: > 0 } tasks)
        {
            lines.Add(Text($"Tasks: {string.Join(", ", tasks.Select(task => $"{task.Score.Items} of {task.Available} items of {task.Task.Title()}"))}, drawn with seed {tasks[0].Seed}, at most {report.TaskContext} tokens; llama-perplexity's scoring."));
        }

        if (report.Models.Select(model => model.Speed).OfType<SpeedReport>().FirstOrDefault() is { } speed)
        {
            lines.Add(Text($"Speed: mean and standard deviation of {speed.Repetitions} runs behind one for warming up, tests as llama-bench's."));
        }

        lines.AddRange(report.Models.Select(model => $"{model.Name}: {(model.Model.Quantization.Count == 0 ? "not quantized" : string.Join("; ", model.Model.Quantization))}; inputs of Linears: {string.Join("; ", model.Model.Inputs)}."));
        lines.AddRange(report.Base.Tasks.SelectMany(task => task.Notes).Concat(report.Notes));
        return lines;
    }

    /// <summary>GB, for example <c>12.43</c>; of small models with more digits.</summary>
    public static string Size(long bytes) => bytes >= 1_000_000_000 ? Text($"{bytes / 1e9:0.00}") : Text($"{bytes / 1e9:0.0000}");

    private static string Nats(double value) => Text($"{value:0.000000}");

    private static Estimate Percent(Estimate share) => new(100 * share.Value, 100 * share.Error);

    private static string Estimated(Estimate figure, int digits) => $"{figure.Value.ToString($"F{digits}", CultureInfo.InvariantCulture)} ± {figure.Error.ToString($"F{digits}", CultureInfo.InvariantCulture)}";

    private static string Text(FormattableString text) => FormattableString.Invariant(text);
}

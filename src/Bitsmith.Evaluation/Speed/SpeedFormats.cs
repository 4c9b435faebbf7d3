using System.Globalization;
using Bitsmith.Evaluation.Comparison.Rendering;
using CsvHelper;

namespace Bitsmith.Evaluation.Speed;

/// <summary>A bench for other programs and for model cards.</summary>
public static class SpeedFormats
{
    /// <summary>A table in Markdown with llama-bench's columns, and behind them memory and shares where they are known.</summary>
    public static string ToMarkdown(this SpeedReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return ReportTable.Create(
            "speed",
            ["model", ">size", ">params", "backend", ">threads", ">test", ">t/s", ">of bandwidth", ">of peak", ">peak memory"],
            report.Results.Select(result => (IReadOnlyList<string>)
            [
                Name(report), Text($"{report.WeightBytes / (double)(1 << 30):0.00} GiB"), Text($"{report.Parameters / 1e9:0.00} B"), "CPU", Text($"{report.Threads}"), result.Test,
                Text($"{result.TokensPerSecond:0.00} ± {result.StandardDeviation:0.00}"), Share(result.BandwidthShare), Share(result.PeakShare),
                report.PeakMemoryBytes is long memory ? Text($"{memory / (double)(1 << 20):0} MiB") : string.Empty,
            ])).ToMarkdown();
    }

    /// <summary>One line for each test, with a head of stable names; those that llama-bench has too are llama-bench's.</summary>
    public static string ToCsv(this SpeedReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        using StringWriter text = new();
        using CsvWriter csv = CsvWriter.Create(text, new CsvWriterOptions { HasHeader = false, Separator = ',', NewLine = "\n" }, leaveOpen: true);
        (string Name, Func<SpeedResult, object?> Value)[] columns =
        [
            ("version", _ => report.Version), ("cpu_info", _ => report.Cpu), ("model_filename", _ => report.Model), ("model_type", _ => report.ModelType), ("model_size", _ => report.WeightBytes),
            ("model_n_params", _ => report.Parameters), ("quantization", _ => string.Join("; ", report.Quantization)), ("n_threads", _ => report.Threads), ("instruction_set", _ => report.InstructionSet),
            ("type_k", _ => report.CacheType), ("type_v", _ => report.CacheType), ("activations", _ => report.Activations), ("test", result => result.Test), ("n_prompt", result => result.PromptTokens),
            ("n_gen", result => result.GeneratedTokens), ("repetitions", _ => report.Repetitions), ("avg_ts", result => result.TokensPerSecond), ("stddev_ts", result => result.StandardDeviation),
            ("bandwidth", _ => report.Bandwidth), ("bandwidth_share", result => result.BandwidthShare), ("peak_kind", _ => report.PeakKind), ("peak", _ => report.Peak), ("peak_share", result => result.PeakShare),
            ("peak_memory", _ => report.PeakMemoryBytes),
        ];
        csv.WriteRecord([.. columns.Select(column => column.Name)]);
        foreach (SpeedResult result in report.Results)
        {
            csv.WriteRecord([.. columns.Select(column => Convert.ToString(column.Value(result), CultureInfo.InvariantCulture) ?? string.Empty)]);
        }

        csv.Flush();
        return text.ToString();
    }

    /// <summary>A share in percent, or nothing.</summary>
    public static string Share(double? share) => share is double value ? Text($"{100 * value:0.0} %") : string.Empty;

    private static string Name(SpeedReport report) => Path.GetFileName(Path.TrimEndingDirectorySeparator(report.Model));

    private static string Text(FormattableString text) => FormattableString.Invariant(text);
}

using System.Text;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>The measured cases as Markdown: encoders by block and shape, conversions by kind, each against scalar code.</summary>
internal static class MarkdownTable
{
    private const string Scalar = nameof(InstructionSet.Scalar);

    public static string Write(IEnumerable<Summary> summaries)
    {
        BenchmarkReport[] reports = [.. summaries.SelectMany(summary => summary.Reports).Where(report => Throughput.Of(report) is not null)];
        ILookup<bool, BenchmarkReport> byKind = reports.ToLookup(report => report.BenchmarkCase.Descriptor.Type == typeof(ConversionBenchmark));
        StringBuilder text = new();
        if (byKind[false].Any())
        {
            text.AppendLine("| encoder | block | shape | instruction set | GB/s per core | ratio to scalar |");
            text.AppendLine("|---|---|---|---|---:|---:|");
            foreach (BenchmarkReport report in byKind[false].OrderByDescending(report => Method(report.BenchmarkCase)).ThenByDescending(report => Number(report, "Block")).ThenByDescending(report => Number(report, "Columns")).ThenBy(Set))
            {
                BenchmarkCase item = report.BenchmarkCase;
                string block = Throughput.Parameter(item, "Block")!;
                text.AppendLine($"| {Method(item)} | {block}x{block} | {EncodeCase.Rows} x {Throughput.Parameter(item, "Columns")} | {End(report, reports)}");
            }
        }

        if (byKind[true].Any())
        {
            text.Append(text.Length > 0 ? "\n" : string.Empty).AppendLine("| conversion | instruction set | GB/s per core | ratio to scalar |");
            text.AppendLine("|---|---|---:|---:|");
            foreach (BenchmarkReport report in byKind[true].OrderBy(report => Throughput.Parameter(report.BenchmarkCase, "Conversion")).ThenBy(Set))
            {
                text.AppendLine($"| {Words(Throughput.Parameter(report.BenchmarkCase, "Conversion")!)} | {End(report, reports)}");
            }
        }

        return text.ToString();
    }

    private static int Number(BenchmarkReport report, string name) => int.Parse(Throughput.Parameter(report.BenchmarkCase, name)!);

    private static InstructionSet Set(BenchmarkReport report) => Enum.Parse<InstructionSet>(Throughput.Parameter(report.BenchmarkCase, "Set")!);

    private static string End(BenchmarkReport report, BenchmarkReport[] all)
    {
        double rate = Throughput.Of(report)!.Value;
        BenchmarkReport? scalar = all.FirstOrDefault(other => Key(other) == Key(report) && Throughput.Parameter(other.BenchmarkCase, "Set") == Scalar);
        return $"{Set(report).ToString().ToLowerInvariant()} | {rate:0.00} | {(Throughput.Of(scalar) is double slow ? (rate / slow).ToString("0.0") : "-")} |";
    }

    // What two cases must share to be compared: all but the instruction set.
    private static string Key(BenchmarkReport report) =>
        string.Join(' ', report.BenchmarkCase.Parameters.Items.Where(item => item.Name != "Set").Select(item => $"{item.Name}={item.Value}").Prepend(Method(report.BenchmarkCase)));

    private static string Method(BenchmarkCase item) => item.Descriptor.WorkloadMethod.Name.ToLowerInvariant();

    private static string Words(string conversion) => conversion switch
    {
        nameof(Conversion.WidenBFloat16) => "BF16 to F32",
        nameof(Conversion.NarrowToBFloat16) => "F32 to BF16",
        _ => "F32 to F8_E4M3",
    };
}

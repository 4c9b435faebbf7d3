using Bitsmith.Evaluation.Speed;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>A bench for people.</summary>
internal static class SpeedTable
{
    public static void Write(Terminal terminal, SpeedReport report)
    {
        terminal.Out.WriteLine($"{report.Model}: {report.ModelType}, {report.Parameters} parameters, {Units.Bytes(report.WeightBytes)} of weights, {(report.Quantization.Count == 0 ? "not quantized" : string.Join("; ", report.Quantization))}");
        Table table = Tables.Create("test", ">tokens/s", ">±", ">of bandwidth", ">of peak", "each run");
        foreach (SpeedResult result in report.Results)
        {
            table.Row(result.Test, $"{result.TokensPerSecond:0.00}", $"{result.StandardDeviation:0.00}", SpeedFormats.Share(result.BandwidthShare), SpeedFormats.Share(result.PeakShare), string.Join("  ", result.Runs.Select(run => $"{run:0.00}")));
        }

        table.AddTo(terminal);
        terminal.Out.WriteLine($"at most {(report.PeakMemoryBytes ?? 0) >> 20} MiB of memory; measured here: {(report.Bandwidth is double bandwidth ? $"{bandwidth / 1e9:0.0} GB/s read" : "no bandwidth (too little memory is free)")}{(report.Peak is double peak ? $", {peak / 1e9:0} Gop/s ({report.PeakKind})" : string.Empty)}");
        terminal.Out.WriteLine(
            $"{report.Cpu}, {report.Threads} thread(s), {report.InstructionSet}, {report.Activations} activations, inputs of BF16 weights in {report.Inputs}, cache in {report.CacheType}, prompts in passes of {report.PassTokens}, {report.Repetitions} run(s), seed {report.Seed}, bitsmith {report.Version}");
    }
}

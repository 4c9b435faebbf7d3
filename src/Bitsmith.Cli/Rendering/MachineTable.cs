using Bitsmith.Evaluation.Speed;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Measurement;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>A machine for people.</summary>
internal static class MachineTable
{
    private const double Giga = 1e9;

    public static void Write(Terminal terminal, MachineReport report)
    {
        Table about = Tables.Create("this machine", string.Empty);
        about.Row("bitsmith", report.Bitsmith);
        about.Row("runtime", report.Runtime);
        about.Row("system", $"{report.OperatingSystem}, {report.Architecture}");
        about.Row("processor", $"{report.Cpu.Name}, {report.Cpu.Cores} core(s) usable");
        about.Row("extensions", string.Join(" ", report.Cpu.Features));
        about.Row("caches", report.Cpu.Caches.Count == 0 ? "unknown" : string.Join(", ", report.Cpu.Caches.Select(cache => $"L{cache.Level} {cache.Type} {cache.Bytes >> 10} KiB for {cache.SharedBy} core(s)")));
        about.Row("kernels", $"{report.InstructionSets.Chosen}{(report.InstructionSets.Override is { Length: > 0 } forced ? $" ({Cpu.Variable}={forced})" : string.Empty)}; available: {string.Join(", ", report.InstructionSets.Available)}");
        about.Row("memory", $"{report.Memory.TotalBytes >> 20} MiB, {report.Memory.AvailableBytes >> 20} MiB available");
        about.AddTo(terminal);

        Table rates = Tables.Create("measured", "with", ">threads", ">best", ">median");
        foreach (Rate rate in report.Bandwidth.BytesPerSecond)
        {
            rates.Row("memory read", $"an array of {report.Bandwidth.ArrayBytes >> 20} MiB", $"{rate.Threads}", $"{rate.Best / Giga:0.0} GB/s", $"{rate.Median / Giga:0.0} GB/s");
        }

        foreach (PeakReport peak in report.Peaks)
        {
            foreach (Rate rate in peak.OperationsPerSecond)
            {
                rates.Row(peak.Kind.Replace('_', ' '), peak.Instruction, $"{rate.Threads}", $"{rate.Best / Giga:0} Gop/s", $"{rate.Median / Giga:0} Gop/s");
            }
        }

        rates.AddTo(terminal);
        if (report.Bandwidth.ArrayBytes is null)
        {
            terminal.Out.WriteLine("too little memory is free to measure its bandwidth");
        }

        terminal.Out.WriteLine("A product and its addition are two operations. A median far below the best means that something else was running.");
    }
}

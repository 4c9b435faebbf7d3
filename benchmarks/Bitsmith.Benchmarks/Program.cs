using System.CommandLine;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Bitsmith.Benchmarks;
using Perfolizer.Horology;

// benchmarks [--filter GLOB...] [--markdown FILE]
// benchmarks --quick-attention
// benchmarks --quick-blocks FOLDER
// benchmarks --quick-encode MODEL [--scheme S] [--limit-gb N]
// benchmarks --quick-experts MODEL --candidate FOLDER... --text FILE
// benchmarks --quick-calibration MODEL [--samples N] [--rounds N] [--all-experts] [--max-memory-gb N]
// benchmarks --quick-calibration MODEL --method M... [--scheme S] [--samples N]
Option<string[]> filter = new("--filter") { Description = "Benchmarks to run, for example '*Encode*'.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => ["*"] };
Option<string?> markdown = new("--markdown") { Description = "Also write the rates to this file as Markdown tables." };
Option<string?> quickEncode = new("--quick-encode") { Description = "Instead: encode the Linears of this model folder on one thread and print the rate." };
Option<bool> quickAttention = new("--quick-attention") { Description = "Instead: run attention kernels on one thread and print their rates." };
Option<string?> quickBlocks = new("--quick-blocks") { Description = "Instead: encode what proofs/peers/ggml_rates.py left in this folder as every block type, on one thread, beside ggml." };
Option<string?> quickCalibration = new("--quick-calibration") { Description = "Instead: run random tokens through this model folder, with and without calibration statistics, and print both rates." };
Option<string?> quickExperts = new("--quick-experts") { Description = "Instead: what --candidate folders make of the outputs of this mixture's experts on --text." };
Option<string[]> candidates = new("--candidate") { Description = "For --quick-experts: a quantized folder.", DefaultValueFactory = _ => [] };
Option<string> text = new("--text") { Description = "For --quick-experts: a text.", DefaultValueFactory = _ => "samples/text/heldout.txt" };
Option<int> samples = new("--samples") { Description = "For --quick-calibration: samples of 512 tokens.", DefaultValueFactory = _ => 8 };
Option<int> rounds = new("--rounds") { Description = "For --quick-calibration: rounds of both, of which the best count.", DefaultValueFactory = _ => 3 };
Option<string[]> methods = new("--method") { Description = "For --quick-calibration: instead of statistics alone the whole of these methods, in one layer.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [] };
Option<bool> allExperts = new("--all-experts") { Description = "For --quick-calibration: every expert sees every token." };
Option<double?> maxMemory = new("--max-memory-gb") { Description = "For --quick-calibration: most memory, in GB (10^9 bytes)." };
Option<string?> scheme = new("--scheme") { Description = "For --quick-encode and --method: the preset; fp8-block and w4a16 unless given." };
Option<double> limit = new("--limit-gb") { Description = "For --quick-encode: encode at most this many GB (10^9 bytes) of source.", DefaultValueFactory = _ => 1e6 };
RootCommand root = new("Measures Bitsmith's kernels.") { filter, markdown, quickAttention, quickBlocks, quickCalibration, quickExperts, candidates, text, quickEncode, samples, rounds, methods, allExperts, maxMemory, scheme, limit };
root.SetAction(parsed =>
{
    if (parsed.GetValue(quickEncode) is { } model)
    {
        QuickEncode.Run(model, parsed.GetValue(scheme) ?? "fp8-block", (long)(parsed.GetValue(limit) * 1e9));
        return 0;
    }

    if (parsed.GetValue(quickBlocks) is { } folder)
    {
        QuickBlocks.Run(folder);
        return 0;
    }

    if (parsed.GetValue(quickCalibration) is { } calibrated)
    {
        string work = Path.Combine(Path.GetTempPath(), $"bitsmith-calibration-{Environment.ProcessId}");
        if (parsed.GetValue(methods) is { Length: > 0 } chosen)
        {
            QuickMethod.Run(calibrated, work, parsed.GetValue(scheme) ?? "w4a16", chosen, parsed.GetValue(samples));
            return 0;
        }

        QuickCalibration.Run(calibrated, work, parsed.GetValue(samples), parsed.GetValue(rounds), parsed.GetValue(allExperts), (long?)(parsed.GetValue(maxMemory) * 1e9));
        return 0;
    }

    if (parsed.GetValue(quickExperts) is { } mixture)
    {
        QuickExperts.Run(mixture, parsed.GetValue(candidates)!, parsed.GetValue(text)!);
        return 0;
    }

    if (parsed.GetValue(quickAttention))
    {
        QuickAttention.Run();
        return 0;
    }

    return RunBenchmarks(parsed.GetValue(filter)!, parsed.GetValue(markdown));
});
ParseResult command = root.Parse(args);
int code = command.Invoke();
return command.Errors.Count > 0 ? 2 : code;

static int RunBenchmarks(string[] filter, string? markdown)
{
    // In this process: nothing is built again, and the cases are long enough not to need one of their own.
    Job job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithGcServer(false)
        .WithWarmupCount(3).WithIterationCount(7).WithIterationTime(TimeInterval.FromMilliseconds(150));
    ManualConfig config = ManualConfig.CreateEmpty()
        .AddJob(job)
        .AddLogger(new ConsoleLogger())
        .AddColumnProvider(DefaultColumnProviders.Instance)
        .AddColumn(new ThroughputColumn())
        .WithOptions(ConfigOptions.JoinSummary);
    Summary[] summaries = [.. BenchmarkSwitcher.FromAssembly(typeof(Fp8EncodeBenchmark).Assembly).Run(["--filter", .. filter], config)];
    string tables = MarkdownTable.Write(summaries);
    if (tables.Length == 0)
    {
        Console.Error.WriteLine("benchmarks: nothing was measured.");
        return 1;
    }

    Console.WriteLine(tables);
    if (markdown is not null)
    {
        File.WriteAllText(markdown, tables);
    }

    return 0;
}

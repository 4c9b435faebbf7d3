using System.Globalization;
using System.Text.Json;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using CsvHelper;

namespace Bitsmith.Evaluation.Tests.Speed;

public sealed class SpeedBenchTests
{
    private static readonly string Model = Path.Combine(AppContext.BaseDirectory, "models", "tiny-glm4");

    [Theory]
    [InlineData(512, 0, "pp512")]
    [InlineData(0, 128, "tg128")]
    [InlineData(1024, 16, "pp1024+tg16")]
    public void A_test_is_named_as_llama_bench_names_it(int prompt, int generated, string name) => Assert.Equal(name, new SpeedTest(prompt, generated).Name);

    [Fact]
    public void A_rate_is_tokens_over_seconds_and_the_first_run_of_each_test_does_not_count()
    {
        // 300 tokens are more than one pass. The clock advances by these seconds in each run, the unmeasured one first.
        Clock clock = new([1000, 2, 3, 6, 1000, 1, 1, 1, 1000, 5, 10, 20]);
        Runs progress = new();

        IReadOnlyList<SpeedResult> results = Measure(new SpeedSettings([new(300, 0), new(0, 3), new(7, 3)], 3, 2), clock, progress, TestContext.Current.CancellationToken);

        Assert.Equal(["pp300", "tg3", "pp7+tg3"], results.Select(result => result.Test));
        Assert.Equal([150, 100, 50], results[0].Runs);
        Assert.Equal((100, 50), (results[0].TokensPerSecond, results[0].StandardDeviation));
        Assert.Equal([3, 3, 3], results[1].Runs);
        Assert.Equal((3, 0), (results[1].TokensPerSecond, results[1].StandardDeviation));
        Assert.Equal([2, 1, 0.5], results[2].Runs);
        Assert.Equal(["pp300 0", "pp300 1", "pp300 2", "pp300 3", "tg3 0", "tg3 1", "tg3 2", "tg3 3", "pp7+tg3 0", "pp7+tg3 1", "pp7+tg3 2", "pp7+tg3 3"], progress.Seen);
    }

    [Fact]
    public void One_run_has_no_deviation() => Assert.Equal(0, SpeedResult.Of(new SpeedTest(8, 0), [4.5]).StandardDeviation);

    [Fact]
    public void A_stop_request_is_heard_inside_a_run()
    {
        using CancellationTokenSource stop = new();
        stop.Cancel();

        Assert.Throws<OperationCanceledException>(() => Measure(new SpeedSettings([new(8, 0)], 1, 2), TimeProvider.System, null, stop.Token));
    }

    [Fact]
    public void The_report_states_its_settings_and_reads_back_from_json_under_stable_names()
    {
        SpeedReport report = SpeedBench.Run(Model, new SpeedSettings([new(4, 0), new(0, 2)], 2, 2, Seed: 5, CacheType: ElementType.BF16), TimeProvider.System, null, TestContext.Current.CancellationToken);

        JsonElement json = JsonDocument.Parse(report.ToJson()).RootElement;
        Assert.Equal(
            ["model", "model_type", "parameters", "weight_bytes", "quantization", "activations", "inputs", "cache_type", "threads", "instruction_set", "pass_tokens", "repetitions", "seed", "cpu", "version", "results", "peak_memory_bytes", "bandwidth", "peak", "peak_kind"],
            json.EnumerateObject().Select(property => property.Name));
        Assert.Equal(("glm4", "scheme", 2, 2, 5), (json.GetProperty("model_type").GetString(), json.GetProperty("activations").GetString(), json.GetProperty("threads").GetInt32(), json.GetProperty("repetitions").GetInt32(), json.GetProperty("seed").GetInt32()));
        Assert.Equal(Cpu.Default.ToString(), json.GetProperty("instruction_set").GetString(), ignoreCase: true);
        Assert.Equal(("bf16", ComputeOptions.Fastest.BFloat16Inputs ? "bf16" : "f32"), (json.GetProperty("cache_type").GetString(), json.GetProperty("inputs").GetString()));
        JsonElement first = json.GetProperty("results")[0];
        Assert.Equal(["test", "prompt_tokens", "generated_tokens", "tokens_per_second", "standard_deviation", "runs", "bandwidth_share", "peak_share"], first.EnumerateObject().Select(property => property.Name));
        Assert.Equal(2, first.GetProperty("runs").GetArrayLength());
        Assert.All(report.Results, result => Assert.All(result.Runs, run => Assert.True(run > 0 && double.IsFinite(run))));
    }

    [Fact]
    public void A_report_in_markdown_and_csv_has_a_line_for_each_test_and_reads_back()
    {
        SpeedReport report = SpeedBench.Run(Model, new SpeedSettings([new(4, 0), new(0, 2), new(3, 2)], 1, 2), TimeProvider.System, null, TestContext.Current.CancellationToken);
        report = report with { Model = "a|b, \"c\".gguf", PeakMemoryBytes = 5 << 20, Bandwidth = 1e10, Results = [.. report.Results.Select(result => result with { BandwidthShare = result.PromptTokens == 0 ? 0.5 : null })] };
        string[] markdown = report.ToMarkdown().TrimEnd().Split('\n');
        Assert.Equal(2 + 3, markdown.Length);
        Assert.StartsWith("| model | size | params | backend | threads | test | t/s |", markdown[0], StringComparison.Ordinal);
        Assert.All(markdown, line => Assert.Equal(11, line.Replace("\\|", string.Empty, StringComparison.Ordinal).Count(letter => letter == '|')));
        Assert.Contains("50.0 %", markdown[3], StringComparison.Ordinal);
        using CsvReader csv = CsvReader.Create(new StringReader(report.ToCsv()), new CsvReaderOptions { HasHeader = false, Separator = ',' });
        List<string[]> rows = [];
        while (csv.Read())
        {
            rows.Add(csv.Current.ToArray());
        }

        int Column(string name) => Array.IndexOf(rows[0], name);
        Assert.Equal(["pp4", "tg2", "pp3+tg2"], rows.Skip(1).Select(row => row[Column("test")]));
        Assert.Equal((report.Model, "0.5", ""), (rows[2][Column("model_filename")], rows[2][Column("bandwidth_share")], rows[1][Column("bandwidth_share")]));
        Assert.Equal(report.Results[2].TokensPerSecond, double.Parse(rows[3][Column("avg_ts")], CultureInfo.InvariantCulture));
    }

    [Fact]
    public void Shares_are_of_what_the_machine_was_measured_to_do()
    {
        SpeedReport report = SpeedBench.RunBesideMachine(Model, new SpeedSettings([new(64, 0), new(0, 4), new(8, 4)], 1, 2), TimeProvider.System, null, TestContext.Current.CancellationToken);
        Assert.True(report.PeakMemoryBytes > report.WeightBytes);
        Assert.Contains(report.PeakKind, (string[])["f32_fma", "bf16_dot"]);
        using ModelWeights weights = ModelWeights.Open(Model);
        TokenCost cost = LanguageModel.Create(weights, new ComputeOptions(2, Cpu.Default)).CostPerToken;
        (SpeedResult prompt, SpeedResult generation, SpeedResult both) = (report.Results[0], report.Results[1], report.Results[2]);
        Assert.Equal(cost.Operations * prompt.TokensPerSecond / report.Peak!.Value, prompt.PeakShare!.Value, 1e-9);
        Assert.Equal(cost.Bytes * generation.TokensPerSecond / report.Bandwidth!.Value, generation.BandwidthShare!.Value, 1e-9);
        Assert.Equal((null, null, null, null), (prompt.BandwidthShare, generation.PeakShare, both.BandwidthShare, both.PeakShare));
    }

    private static IReadOnlyList<SpeedResult> Measure(SpeedSettings settings, TimeProvider clock, IProgress<SpeedProgress>? progress, CancellationToken cancellationToken)
    {
        using ModelWeights weights = ModelWeights.Open(Model);
        return SpeedBench.Measure(LanguageModel.Create(weights, new ComputeOptions(2, Cpu.Default)), settings, clock, progress, cancellationToken);
    }

    /// <summary>Every second look at the clock is the next number of seconds later.</summary>
    private sealed class Clock(double[] seconds) : TimeProvider
    {
        private int looks;
        private long now;

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => now += looks++ % 2 == 0 ? 0 : (long)(seconds[looks / 2 - 1] * TimestampFrequency);
    }

    private sealed class Runs : IProgress<SpeedProgress>
    {
        public List<string> Seen { get; } = [];

        public void Report(SpeedProgress value) => Seen.Add($"{value.Test.Name} {value.Run}");
    }
}

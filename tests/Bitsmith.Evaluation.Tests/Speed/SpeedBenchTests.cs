using System.Text.Json;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

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
            ["model", "model_type", "parameters", "weight_bytes", "quantization", "activations", "inputs", "cache_type", "threads", "instruction_set", "pass_tokens", "repetitions", "seed", "cpu", "version", "results"],
            json.EnumerateObject().Select(property => property.Name));
        Assert.Equal(("glm4", "scheme", 2, 2, 5), (json.GetProperty("model_type").GetString(), json.GetProperty("activations").GetString(), json.GetProperty("threads").GetInt32(), json.GetProperty("repetitions").GetInt32(), json.GetProperty("seed").GetInt32()));
        Assert.Equal(Cpu.Default.ToString(), json.GetProperty("instruction_set").GetString(), ignoreCase: true);
        Assert.Equal(("bf16", ComputeOptions.Fastest.BFloat16Inputs ? "bf16" : "f32"), (json.GetProperty("cache_type").GetString(), json.GetProperty("inputs").GetString()));
        JsonElement first = json.GetProperty("results")[0];
        Assert.Equal(["test", "prompt_tokens", "generated_tokens", "tokens_per_second", "standard_deviation", "runs"], first.EnumerateObject().Select(property => property.Name));
        Assert.Equal(2, first.GetProperty("runs").GetArrayLength());
        Assert.All(report.Results, result => Assert.All(result.Runs, run => Assert.True(run > 0 && double.IsFinite(run))));
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

using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration;

public sealed class CalibrationPipelineTests : IDisposable
{
    private static readonly StatisticsOptions Routed = new() { AllExperts = false, Unseen = UnseenExpert.AllTokens };

    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-pipeline-");
    private readonly ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", "tiny-glm4-moe"));
    private readonly LanguageModel model;
    private readonly CalibrationData data;

    public CalibrationPipelineTests()
    {
        model = LanguageModel.Create(weights, ComputeOptions.Default);
        Random random = new(5);
        data = CalibrationData.OfTokens([.. ((int[])[1, 30, 7, 64, 3, 21, 40]).Select(length => Enumerable.Range(0, length).Select(_ => random.Next(256)).ToArray())]);
    }

    private string Work => Path.Combine(root.FullName, "work");

    public void Dispose()
    {
        weights.Dispose();
        root.Delete(recursive: true);
    }

    [Fact]
    public void Statistics_are_those_of_each_sample_run_alone_with_hidden_states_rounded_between_layers()
    {
        Recorder all = new();
        foreach (CalibrationSample sample in data.Samples)
        {
            float[] hidden = model.Embed(sample.Tokens);
            for (int layer = 0; layer < model.Layers.Count; layer++)
            {
                Round(hidden);
                using ForwardPass pass = model.NewPass(all);
                using KvCache cache = model.NewCache(sample.Tokens.Length);
                model.Begin(pass, new SequenceRun(cache, sample.Tokens.Length));
                model.RunLayers(hidden, pass, layer, 1);
            }
        }

        CalibrationStatistics found = Run(Routed with { Quantiles = true });
        IReadOnlyList<int> unseen = Assert.Single(found.Experts).FallenBack;
        foreach (Linear linear in model.Layers.SelectMany(layer => layer.Linears).Where(linear => LinearName.ExpertOf(linear.Name) is not int expert || !unseen.Contains(expert)))
        {
            InputSums sums = found.Inputs[linear.Name];
            float[] values = [.. all.Inputs[linear.Name]];
            int columns = linear.Weight.Columns;
            double[] squares = new double[columns], magnitudes = new double[columns];
            for (int i = 0; i < values.Length; i++)
            {
                squares[i % columns] += (double)values[i] * values[i];
                magnitudes[i % columns] += Math.Abs(values[i]);
            }

            Assert.Equal((values.Length / columns, values.Max(MathF.Abs)), (sums.Tokens, sums.AbsMax));
            Assert.Equal(squares, sums.Squares.ToArray());
            Assert.Equal(magnitudes, sums.Magnitudes.ToArray());
            float[] maxima = [.. values.Chunk(columns).Select(row => BFloat16.Round(row.Max(MathF.Abs))).Order()];
            Assert.Equal((maxima[0], maxima[(int)Math.Ceiling(0.9 * maxima.Length) - 1], maxima[^1]), (sums.AbsMaxOf(1e-9), sums.AbsMaxOf(0.9), sums.AbsMaxOf(1)));
        }
    }

    [Fact]
    public void Threads_memory_and_the_number_of_tokens_at_once_leave_no_trace()
    {
        byte[] once = Bytes(Routed);
        Assert.Equal(once, Bytes(Routed, options => options with { BatchTokens = 1 }, threads: 1));
        Assert.Equal(once, Bytes(Routed, options => options with { BatchTokens = 70 }, threads: 3));
        using CalibrationStatistics statistics = new(Routed);
        using CalibrationPipeline whole = Prepare(statistics, options => options);
        long spilled = whole.Needs.PeakBytes - whole.Needs.HiddenStateBytes;
        Assert.True(whole.Needs.InMemory);
        whole.Complete();
        using CalibrationPipeline small = Prepare(statistics, options => options with { MaxMemoryBytes = spilled });
        Assert.False(small.Needs.InMemory);
        small.Complete();
        Assert.Equal(once, Bytes(Routed, options => options with { MaxMemoryBytes = spilled }));
        Assert.Contains("are too few", Assert.Throws<RequestException>(() => Prepare(statistics, options => options with { MaxMemoryBytes = 1000 })).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Work));
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(3, false)]
    [InlineData(5, true)]
    [InlineData(7, false)]
    public void A_job_that_was_stopped_goes_on_to_the_same_bytes(int batches, bool inMemory)
    {
        StatisticsOptions settings = Routed with { Quantiles = true };
        byte[] whole = Bytes(settings);
        PipelineOptions Small(PipelineOptions options) => options with { BatchTokens = 64, MaxMemoryBytes = inMemory ? null : PeakWithoutStates(settings) };
        using (CalibrationStatistics first = new(settings))
        using (CancellationTokenSource stop = new())
        using (CalibrationPipeline pipeline = Prepare(first, Small))
        {
            Assert.Throws<OperationCanceledException>(() => pipeline.Run(new Stopper(batches, stop), stop.Token));
        }

        using CalibrationStatistics second = new(settings);
        Assert.Throws<RequestException>(() => Prepare(second, Small));
        File.WriteAllText(Path.Combine(Work, "hidden-0009.bin.new"), "half-written by a job that was killed");
        File.WriteAllText(Path.Combine(Work, "notes.txt"), "somebody else's");
        using (CalibrationPipeline pipeline = Prepare(second, options => Small(options) with { Resume = true, BatchTokens = 10 }, threads: 1))
        {
            Assert.False(File.Exists(Path.Combine(Work, "hidden-0009.bin.new")));
            Assert.Equal(batches >= 3 ? 1 : 0, pipeline.Restored);
            pipeline.Run(null, CancellationToken.None);
            Assert.Equal(whole, Bytes(second));
            pipeline.Complete();
        }

        Assert.Equal(["notes.txt"], Directory.EnumerateFiles(Work).Select(Path.GetFileName));
    }

    [Fact]
    public void A_job_goes_on_only_as_what_it_was_and_with_nobody_else_at_work()
    {
        using CalibrationStatistics statistics = new(Routed), other = new(Routed with { Quantiles = true });
        using (CalibrationPipeline pipeline = Prepare(statistics, options => options))
        {
            pipeline.Run(null, CancellationToken.None);
            Assert.Contains("is in use", Assert.Throws<JobException>(() => Prepare(statistics, options => options with { Resume = true })).Message, StringComparison.Ordinal);
        }

        Assert.Contains("another calibration", Assert.Throws<RequestException>(() => Prepare(other, options => options with { Resume = true })).Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(Work, "layer-0001.bin"));
        using (CalibrationPipeline pipeline = Prepare(statistics, options => options with { Resume = true }))
        {
            Assert.Contains("layer-0001.bin", Assert.Throws<CheckpointException>(() => pipeline.Run(null, CancellationToken.None)).Message, StringComparison.Ordinal);
        }

        File.WriteAllText(Path.Combine(Work, "state.json"), "{");
        Assert.Contains("state.json", Assert.Throws<CheckpointException>(() => Prepare(statistics, options => options with { Resume = true })).Message, StringComparison.Ordinal);
        using CalibrationPipeline anew = Prepare(statistics, options => options with { Force = true });
        Assert.Equal(0, anew.Restored);
    }

    [Fact]
    public void With_all_experts_each_sees_every_token_and_all_else_stays_the_same()
    {
        CalibrationStatistics routed = Run(Routed), all = Run(new StatisticsOptions());
        foreach ((string name, InputSums sums) in all.Inputs)
        {
            if (LinearName.ExpertOf(name) is null)
            {
                Assert.Equal(routed.Inputs[name].Squares.ToArray(), sums.Squares.ToArray());
            }

            Assert.Equal(data.Tokens, sums.Tokens);
        }

        ExpertTokens tokens = Assert.Single(all.Experts), before = Assert.Single(routed.Experts);
        Assert.Equal(before.Routed, tokens.Routed);
        Assert.Equal(2 * data.Tokens, tokens.Routed.Sum());
        Assert.All(tokens.Seen, seen => Assert.Equal(data.Tokens, seen));
        Assert.Contains($"routed tokens {tokens.Routed.Min()} to {tokens.Routed.Max()}", Assert.Single(all.Report()), StringComparison.Ordinal);
    }

    [Fact]
    public void An_expert_without_tokens_is_an_error_or_takes_all_tokens_and_is_told_of()
    {
        CalibrationData one = CalibrationData.OfTokens([[3]]);
        using CalibrationStatistics strict = new(Routed with { Unseen = UnseenExpert.Error }), loose = new(Routed);
        using (CalibrationPipeline pipeline = CalibrationPipeline.Prepare(model, one, strict, ComputeOptions.Default, new PipelineOptions { WorkFolder = Work }))
        {
            Assert.Contains("layer 1: the router gave no token to 6 of its experts", Assert.Throws<CheckpointException>(() => pipeline.Run(null, CancellationToken.None)).Message, StringComparison.Ordinal);
        }

        using (CalibrationPipeline pipeline = CalibrationPipeline.Prepare(model, one, loose, ComputeOptions.Default, new PipelineOptions { WorkFolder = Work, Force = true }))
        {
            pipeline.Run(null, CancellationToken.None);
        }

        ExpertTokens tokens = Assert.Single(loose.Experts);
        Assert.Equal(6, tokens.FallenBack.Count);
        Assert.All(tokens.FallenBack, expert => Assert.Equal((0, 1), (tokens.Routed[expert], tokens.Seen[expert])));
        CalibrationStatistics all = Run(new StatisticsOptions(), one);
        Assert.All(loose.Inputs, pair => Assert.Equal(all.Inputs[pair.Key].Squares.ToArray(), pair.Value.Squares.ToArray()));
    }

    [Fact]
    public void Tokens_may_count_the_square_of_the_routers_weight()
    {
        Recorder recorder = new();
        RunOnce(recorder);
        StatisticsOptions routed = Routed with { Weighting = TokenWeighting.Router, LeastWeight = 0.25f };
        CalibrationStatistics chosen = Run(routed), all = Run(routed with { AllExperts = true });
        foreach (int expert in recorder.Routes.Select(route => route.Expert).Distinct())
        {
            double weight = recorder.Routes.Where(route => route.Expert == expert).Sum(route => (double)Squared(Math.Max(route.Weight, 0.25f)));
            InputSums sums = chosen.Inputs[$"model.layers.1.mlp.experts.{expert}.up_proj"], whole = all.Inputs[$"model.layers.1.mlp.experts.{expert}.down_proj"];
            int others = (int)(data.Tokens - recorder.Routes.Count(route => route.Expert == expert));
            Assert.Equal(weight, sums.Weight, 9);
            Assert.Equal(weight + (others * 0.0625), whole.Weight, 9);
            Assert.Equal(recorder.Routes.Count(route => route.Expert == expert), sums.Tokens);
        }

        static float Squared(float weight) => weight * weight;
    }

    [Fact]
    public void The_next_layer_sees_the_weights_that_took_the_place_of_others_or_the_original_ones()
    {
        Replacing quantized = new(), original = new();
        Prepare(quantized, options => options).Run(null, CancellationToken.None);
        Prepare(original, options => options with { Propagation = Propagation.Original, Force = true, WorkFolder = Work + "2" }).Run(null, CancellationToken.None);
        Recorder plain = new();
        RunOnce(plain);
        string first = "model.layers.0.self_attn.q_proj", second = "model.layers.1.self_attn.q_proj";
        Assert.Equal(plain.Inputs[first], quantized.Recorder.Inputs[first]);
        Assert.Equal(plain.Inputs[second], original.Recorder.Inputs[second]);

        // With zeros for o and down, the first layer hands on what it gets.
        Assert.NotEqual(plain.Inputs[second], quantized.Recorder.Inputs[second]);
        Assert.Equal(Direction(quantized.Recorder.Inputs[first]), Direction(quantized.Recorder.Inputs[second]));

        static int[] Direction(List<float> values) => [.. values.Select(MathF.Sign)];
    }

    [Fact]
    public void Second_moments_are_taken_of_the_Linears_asked_for()
    {
        Moments moments = new();
        using CalibrationPipeline pipeline = Prepare(moments, options => options);
        pipeline.Run(null, CancellationToken.None);
        Assert.Equal(2, moments.Found);
    }

    private static void Round(Span<float> values)
    {
        foreach (ref float value in values)
        {
            value = BFloat16.Round(value);
        }
    }

    private static byte[] Bytes(CalibrationStatistics statistics)
    {
        using MemoryStream stream = new();
        statistics.Write(0, stream);
        statistics.Write(1, stream);
        return stream.ToArray();
    }

    private void RunOnce(Recorder recorder)
    {
        using Observing observing = new(recorder);
        using CalibrationPipeline pipeline = Prepare(observing, options => options with { WorkFolder = Work + "1" });
        pipeline.Run(null, CancellationToken.None);
        pipeline.Complete();
    }

    private long PeakWithoutStates(StatisticsOptions settings)
    {
        using CalibrationStatistics statistics = new(settings);
        using CalibrationPipeline pipeline = Prepare(statistics, options => options with { WorkFolder = Work + "0", Force = true });
        return pipeline.Needs.PeakBytes - pipeline.Needs.HiddenStateBytes;
    }

    private CalibrationPipeline Prepare(ILayerCalibration calibration, Func<PipelineOptions, PipelineOptions> change, int threads = 2) =>
        CalibrationPipeline.Prepare(model, data, calibration, ComputeOptions.Default with { Threads = threads }, change(new PipelineOptions { WorkFolder = Work }));

    private CalibrationStatistics Run(StatisticsOptions settings, CalibrationData? samples = null)
    {
        CalibrationStatistics statistics = new(settings);
        using CalibrationPipeline pipeline = CalibrationPipeline.Prepare(model, samples ?? data, statistics, ComputeOptions.Default, new PipelineOptions { WorkFolder = Work, Force = true });
        pipeline.Run(null, CancellationToken.None);
        pipeline.Complete();
        return statistics;
    }

    private byte[] Bytes(StatisticsOptions settings, Func<PipelineOptions, PipelineOptions>? change = null, int threads = 2)
    {
        using CalibrationStatistics statistics = new(settings);
        using CalibrationPipeline pipeline = Prepare(statistics, change ?? (options => options), threads);
        pipeline.Run(null, CancellationToken.None);
        pipeline.Complete();
        return Bytes(statistics);
    }

    private sealed class Stopper(int batches, CancellationTokenSource stop) : IProgress<CalibrationProgress>
    {
        private int seen;

        public void Report(CalibrationProgress value)
        {
            Assert.InRange(value.Done, 0, 1);
            if (++seen == batches)
            {
                stop.Cancel();
            }
        }
    }

    private sealed class Recorder : IForwardObserver
    {
        public Dictionary<string, List<float>> Inputs { get; } = [];

        public List<(int Expert, float Weight)> Routes { get; } = [];

        public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens)
        {
            if (!Inputs.TryGetValue(linear.Name, out List<float>? list))
            {
                Inputs[linear.Name] = list = [];
            }

            list.AddRange(input.Span);
        }

        public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden)
        {
        }

        public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
        {
            for (int i = 0; i < experts.Length; i++)
            {
                Routes.Add((experts[i], weights[i]));
            }
        }
    }

    /// <summary>Does nothing but what a test adds.</summary>
    private class Observing(Recorder recorder) : ILayerCalibration, IDisposable
    {
        public Recorder Recorder => recorder;

        public string Settings => string.Empty;

        public bool AllExperts => false;

        public virtual bool ReplacesWeights => false;

        public long MemoryBytes(IDecoderLayer layer) => 0;

        public virtual IForwardObserver Begin(CalibrationLayer layer) => recorder;

        public virtual LayerWeights Finish(CalibrationLayer layer) => LayerWeights.None;

        public void Write(int layer, Stream target)
        {
        }

        public void Read(int layer, Stream source)
        {
        }

        public void Dispose()
        {
        }
    }

    /// <summary>Puts zeros in the place of the weights that write to the hidden state.</summary>
    private sealed class Replacing() : Observing(new Recorder())
    {
        public override bool ReplacesWeights => true;

        public override LayerWeights Finish(CalibrationLayer layer) => new(layer.Layer.Linears
            .Where(linear => linear.Name.EndsWith("o_proj", StringComparison.Ordinal) || linear.Name.EndsWith("down_proj", StringComparison.Ordinal))
            .ToDictionary(linear => linear, linear => WeightMatrix.Dense(ElementType.F32, linear.Weight.Rows, linear.Weight.Columns, TensorBytes.FromArray(new byte[linear.Weight.Rows * linear.Weight.Columns * 4]))));
    }

    /// <summary>Compares second moments with the inputs they are of.</summary>
    private sealed class Moments() : Observing(new Recorder())
    {
        private LayerStatistics? statistics;

        public int Found { get; private set; }

        public override IForwardObserver Begin(CalibrationLayer layer) => statistics = new LayerStatistics(layer, Routed, linear => linear.Name.EndsWith("k_proj", StringComparison.Ordinal));

        public override LayerWeights Finish(CalibrationLayer layer)
        {
            layer.Run(Recorder);
            Linear key = layer.Layer.Linears.Single(linear => linear.Name.EndsWith("k_proj", StringComparison.Ordinal)), output = layer.Layer.Linears.Single(linear => linear.Name.EndsWith("o_proj", StringComparison.Ordinal));
            statistics!.Complete();
            SecondMoments moments = statistics.MomentsOf(key);
            float[][] rows = [.. Recorder.Inputs[key.Name].Select(BFloat16.Round).Chunk(key.Weight.Columns)];
            Assert.Equal(rows.Aggregate(0.0, (sum, row) => sum + ((double)row[7] * row[200])), moments[7, 200], rows.Sum(row => Math.Abs((double)row[7] * row[200])) * 1e-5);
            Assert.Equal(statistics.Of(key).Squares[5], moments[5, 5], moments[5, 5] / 128);
            Assert.Throws<InvalidOperationException>(() => statistics.MomentsOf(output));
            statistics.Dispose();
            Found++;
            return base.Finish(layer);
        }
    }
}

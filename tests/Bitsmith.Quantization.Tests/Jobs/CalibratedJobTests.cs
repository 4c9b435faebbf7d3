using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Quantization.Verification;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Jobs;

/// <summary>Jobs whose weights are fitted to samples.</summary>
public sealed class CalibratedJobTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-calibrated-");

    public CalibratedJobTests()
    {
        Random random = new(3);
        File.WriteAllLines(Data, Enumerable.Range(0, 9).Select(_ => JsonSerializer.Serialize(new Dictionary<string, int[]> { ["input_ids"] = [.. Enumerable.Range(0, random.Next(5, 40)).Select(_ => random.Next(256))] })));
    }

    private string Data => PathOf("samples.jsonl");

    public void Dispose() => root.Delete(recursive: true);

    [Theory]
    [InlineData("tiny-glm4", "w4a16")]
    [InlineData("tiny-glm4", "w4a16-asym")]
    [InlineData("tiny-glm4-moe", "nvfp4")]
    public void Threads_leave_no_trace_and_the_result_is_sound(string model, string scheme)
    {
        JobOptions options = Options(model, scheme);
        Dictionary<string, byte[]> once = Quantize(options with { Threads = 1 });
        TestCheckpoint.AssertSame(once, Quantize(options with { Threads = 3, Output = PathOf("again"), MaxMemoryBytes = 1L << 32 }));

        Manifest manifest = ManifestFile.Load(Path.Combine(options.Output, Manifest.FileName));
        Assert.Equal(("samples.jsonl", 6, 24), (Assert.Single(manifest.Calibration!.Sources).Location, manifest.Calibration.Samples, manifest.Calibration.MaxLength));
        Assert.All(manifest.Tensors, tensor => Assert.NotNull(tensor.Outputs));
        Assert.Equal(model.EndsWith("moe", StringComparison.Ordinal) ? 1 : 0, manifest.Calibration.Experts.Count);
        VerificationReport report = Verifier.Verify(options.Output, options.Model, false, 2, null, TestContext.Current.CancellationToken);
        Assert.Empty(report.Findings);
    }

    [Fact]
    public void What_calibration_made_is_what_is_written()
    {
        JobOptions options = Options("tiny-glm4-moe", "nvfp4");
        Quantize(options);
        using QuantizationJob job = QuantizationJob.Prepare(options with { Force = true }, TestContext.Current.CancellationToken);
        ComputeOptions compute = ComputeOptions.On(2, exactInputs: false);
        using GlmModel model = GlmModel.Open(options.Model, compute);
        CalibrationData data = CalibrationData.Load(options.Calibration!.Data, model, compute, TestContext.Current.CancellationToken);
        using CalibrationPipeline pipeline = CalibrationPipeline.Prepare(
            model.Language, data, new WeightCalibration([job.Plan], options.Calibration.Method), compute, new PipelineOptions { WorkFolder = PathOf("alone") });
        pipeline.Run(null, TestContext.Current.CancellationToken);
        using CalibratedWeights made = CalibratedWeights.Open(pipeline.Results, cancellationToken: TestContext.Current.CancellationToken);
        using CheckpointFolder written = CheckpointFolder.Open(options.Output);
        int compared = 0;
        foreach (SafetensorsFile file in written.Files)
        {
            foreach (StoredTensor tensor in file.Header.Tensors.Where(tensor => made.Has(tensor.Name)))
            {
                byte[] content = new byte[tensor.Bytes];
                made.Read(tensor.Name, 0, content);
                Assert.True(file.View(tensor).SequenceEqual(content), tensor.Name);
                compared++;
            }
        }

        Assert.True(compared >= 4 * job.Plan.EncodedModules, $"{compared} tensors of {job.Plan.EncodedModules} Linears");
    }

    [Theory]
    [InlineData("tiny-glm4-moe", "nvfp4")]
    [InlineData("tiny-glm4", "w4a16")]
    public void Interrupted_between_layers_and_between_shards_it_goes_on_to_the_same_bytes(string model, string scheme)
    {
        JobOptions options = Options(model, scheme) with { MaxShardBytes = 60_000 };
        Dictionary<string, byte[]> whole = Quantize(options);
        JobOptions again = options with { Output = PathOf("again") };
        int calibrating = 0, writing = 0;
        for (int reports = 1; ; reports += reports < 3 ? 1 : 3)
        {
            try
            {
                using CancellationTokenSource stop = new();
                using QuantizationJob job = QuantizationJob.Prepare(again, TestContext.Current.CancellationToken);
                Stopper stopper = new(reports, stop);
                try
                {
                    job.Run(stopper, stopper, stop.Token);
                    break;
                }
                finally
                {
                    calibrating += stop.IsCancellationRequested && !stopper.Writes ? 1 : 0;
                    writing += stop.IsCancellationRequested && stopper.Writes ? 1 : 0;
                }
            }
            catch (OperationCanceledException)
            {
                Assert.False(Directory.Exists(again.Output));
                again = again with { Resume = true, Threads = 1 + (reports % 3) };
            }
        }

        Assert.True(calibrating > 1 && writing > 1, $"stopped {calibrating} times while calibrating, {writing} times while writing");
        TestCheckpoint.AssertSame(whole, TestCheckpoint.Files(again.Output));
        Assert.False(Directory.Exists(again.Output + ".bitsmith-work"));
    }

    [Fact]
    public void A_damaged_result_of_a_layer_is_an_error_that_names_its_file()
    {
        JobOptions options = Options("tiny-glm4", "w4a16");
        string layer = StopWhileWriting(options);
        byte[] content = File.ReadAllBytes(layer);
        content[^5] ^= 1;
        File.WriteAllBytes(layer, content);
        CheckpointException damaged = Assert.Throws<CheckpointException>(() => Quantize(options with { Resume = true }));
        Assert.Equal(layer, damaged.Path);
        Assert.Contains("--force", damaged.Message, StringComparison.Ordinal);
        File.Delete(layer);
        Assert.Contains("layer-0001.bin", Assert.Throws<CheckpointException>(() => Quantize(options with { Resume = true })).Message, StringComparison.Ordinal);
        Quantize(options with { Force = true });
    }

    [Fact]
    public void A_job_goes_on_only_with_the_calibration_that_it_began_with()
    {
        JobOptions options = Options("tiny-glm4", "w4a16");
        StopWhileWriting(options);
        QuantizationCalibration calibration = options.Calibration!;
        foreach (QuantizationCalibration? other in (QuantizationCalibration?[])[
            null,
            calibration with { Data = calibration.Data with { Seed = 5 } },
            calibration with { Propagation = Propagation.Original },
            calibration with { Method = calibration.Method with { Method = CalibrationMethod.Rtn } }])
        {
            Assert.Contains("was another one", Assert.Throws<RequestException>(() => Quantize(options with { Resume = true, Calibration = other })).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_manifest_makes_the_same_bytes_again_from_the_same_data_and_refuses_others()
    {
        JobOptions options = Options("tiny-glm4", "w4a16");
        Dictionary<string, byte[]> whole = Quantize(options);
        Manifest manifest = ManifestFile.Load(Path.Combine(options.Output, Manifest.FileName));
        string moved = PathOf("samples2");
        Directory.CreateDirectory(moved);
        File.Copy(Data, Path.Combine(moved, "samples.jsonl"));
        JobOptions repeated = options with { Output = PathOf("again"), Recipe = manifest.Recipe, Calibration = manifest.Calibration!.ToOptions([new(Path.Combine(moved, "samples.jsonl"))], null) };
        TestCheckpoint.AssertSame(whole, Quantize(repeated));

        File.WriteAllLines(Path.Combine(moved, "samples.jsonl"), File.ReadAllLines(Data).Select(line => line.Replace('9', '8')));
        Assert.Contains(manifest.Calibration.Digest, Assert.Throws<RequestException>(() => QuantizationJob.Prepare(repeated, TestContext.Current.CancellationToken)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_needs_samples_says_so()
    {
        Assert.Contains("--calibration", Refusal(Options("tiny-glm4", "nvfp4") with { Calibration = null }), StringComparison.Ordinal);
        Assert.Contains("nvfp4a16", Refusal(Options("tiny-glm4", "nvfp4") with { Calibration = null }), StringComparison.Ordinal);
        JobOptions awq = Options("tiny-glm4", "w4a16");
        Assert.Contains("awq", Refusal(awq with { Recipe = awq.Recipe with { Method = CalibrationMethod.Awq }, Calibration = null }), StringComparison.Ordinal);
        Recipe head = RecipeYaml.Parse("QuantizationModifier: {targets: [Linear], scheme: NVFP4}", "r.yaml");
        Assert.Contains("'lm_head'", Refusal(awq with { Recipe = head }), StringComparison.Ordinal);
        Assert.Contains("give 9 of 10 samples", Refusal(awq with { Calibration = awq.Calibration! with { Data = awq.Calibration.Data with { Samples = 10 } } }), StringComparison.Ordinal);
        Assert.Contains("MiB", Refusal(awq with { MaxMemoryBytes = 1 << 20 }), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tiny-glm4", CalibrationMethod.AwqGptq)]
    [InlineData("tiny-glm4-moe", CalibrationMethod.Awq)]
    public void Several_group_sizes_from_one_pass_are_the_bytes_of_jobs_of_their_own_however_often_it_is_interrupted(string model, CalibrationMethod method)
    {
        int[] sizes = [32, 64, 128];
        JobOptions options = Options(model, "w4a16");
        // Experts of 32 columns have no groups of 64.
        IReadOnlyList<string> ignored = model.EndsWith("moe", StringComparison.Ordinal) ? ["re:.*experts.*down_proj$"] : [];
        options = options with { Recipe = Presets.Get("w4a16") with { Ignore = ignored }, MaxShardBytes = 60_000, Calibration = options.Calibration! with { Propagation = Propagation.Original, Method = new() { Method = method } } };
        Dictionary<string, byte[]> alone = [];
        foreach (int size in sizes)
        {
            foreach ((string name, byte[] content) in Quantize(options with { Output = PathOf($"alone{size}"), Recipe = Presets.WithGroupSize(options.Recipe, size) }))
            {
                alone.Add($"W4A16_GS{size}/{name}", content);
            }
        }

        JobOptions together = options;
        for (int reports = 2; ; reports += reports < 4 ? 1 : 7)
        {
            using CancellationTokenSource stop = new();
            using QuantizationJobSet set = QuantizationJobSet.Prepare(together, sizes, TestContext.Current.CancellationToken);
            Stopper stopper = new(reports, stop);
            try
            {
                Assert.Equal(sizes, set.Run(stopper, stopper, stop.Token).Select(manifest => manifest.Recipe.Groups[0].Weights.GroupSize!.Value));
                break;
            }
            catch (OperationCanceledException)
            {
                Assert.False(Directory.Exists(options.Output));
                together = options with { Resume = true, Threads = 1 + (reports % 3) };
            }
        }

        Assert.True(together.Resume);
        TestCheckpoint.AssertSame(alone, TestCheckpoint.Files(options.Output));
        Assert.False(Directory.Exists(options.Output + ".bitsmith-work"));
        using QuantizationJobSet other = QuantizationJobSet.Prepare(options, [32, 64], TestContext.Current.CancellationToken);
        Assert.Contains("exists", Assert.Throws<RequestException>(() => other.Run(null, null, TestContext.Current.CancellationToken)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_group_sizes_are_refused_where_they_cannot_share_a_pass()
    {
        JobOptions options = Options("tiny-glm4", "w4a16");
        Assert.Contains("--propagate original", Refused(options, 32, 64), StringComparison.Ordinal);
        Assert.Contains("twice", Refused(options with { Calibration = null }, 32, 32), StringComparison.Ordinal);
        Assert.Throws<RecipeException>(() => QuantizationJobSet.Prepare(Options("tiny-glm4", "nvfp4a16") with { Calibration = null }, [32, 64], TestContext.Current.CancellationToken));

        static string Refused(JobOptions options, params int[] sizes) =>
            Assert.Throws<RequestException>(() => QuantizationJobSet.Prepare(options, sizes, TestContext.Current.CancellationToken)).Message;
    }

    private static string Refusal(JobOptions options) => Assert.Throws<RequestException>(() => QuantizationJob.Prepare(options, TestContext.Current.CancellationToken)).Message;

    /// <summary>Leaves a job interrupted after its calibration; returns the result of layer 1.</summary>
    private static string StopWhileWriting(JobOptions options)
    {
        using CancellationTokenSource stop = new();
        using QuantizationJob job = QuantizationJob.Prepare(options, TestContext.Current.CancellationToken);
        Assert.Throws<OperationCanceledException>(() => job.Run(new Stopper(1, stop), null, stop.Token));
        return Path.Combine(options.Output + ".bitsmith-work", "calibration", "layer-0001.bin");
    }

    private static Dictionary<string, byte[]> Quantize(JobOptions options)
    {
        using QuantizationJob job = QuantizationJob.Prepare(options, TestContext.Current.CancellationToken);
        job.Run(null, TestContext.Current.CancellationToken);
        return TestCheckpoint.Files(options.Output);
    }

    private JobOptions Options(string model, string scheme)
    {
        string folder = PathOf(model);
        if (!Directory.Exists(folder))
        {
            TinyModel.Copy($"models/{model}", folder);
            File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), "{{ messages[0].content }}");
        }

        return new JobOptions
        {
            Model = folder,
            Output = PathOf("out"),
            Recipe = scheme.StartsWith("w4a16", StringComparison.Ordinal) ? Presets.WithGroupSize(Presets.Get(scheme), 32) : Presets.Get(scheme),
            Threads = 2,
            Calibration = new QuantizationCalibration { Data = new CalibrationOptions { Sources = [new(Data)], Samples = 6, MaxLength = 24 }, Method = new WeightCalibrationOptions() },
        };
    }

    private string PathOf(string name) => Path.Combine(root.FullName, name);

    private sealed class Stopper(int reports, CancellationTokenSource stop) : IProgress<JobProgress>, IProgress<CalibrationProgress>
    {
        private int seen;

        /// <summary>Calibration was done when it stopped.</summary>
        public bool Writes { get; private set; }

        public void Report(JobProgress value)
        {
            Writes |= !stop.IsCancellationRequested;
            Count();
        }

        public void Report(CalibrationProgress value) => Count();

        private void Count()
        {
            if (++seen == reports)
            {
                stop.Cancel();
            }
        }
    }
}

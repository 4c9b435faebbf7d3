using System.Runtime.InteropServices;
using System.Text.Json;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Quantization.Verification;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Tests.Jobs;

/// <summary>Jobs that write INT4 groups, NVFP4 and several formats at once.</summary>
public sealed class GroupFormatJobTests
{
    private const string Mixed = """
        QuantizationModifier:
          ignore: [lm_head]
          config_groups:
            down: {targets: ['re:.*down_proj$'], weights: {num_bits: 8, type: float, strategy: block, block_structure: [32, 32]}}
            attention: {targets: ['re:.*self_attn\..*_proj$'], weights: {num_bits: 4, type: float, strategy: tensor_group, group_size: 16}}
            mlp: {targets: ['re:.*(gate|up|gate_up)_proj$'], weights: {num_bits: 4, type: int, strategy: group, group_size: 64}}
        """;

    public static TheoryData<string> Schemes => ["w4a16", "w4a16-asym", "nvfp4a16", "mixed"];

    [Theory]
    [InlineData(32, WeightEncoder.Library, ElementType.BF16)]
    [InlineData(64, WeightEncoder.Best, ElementType.F16)]
    [InlineData(128, WeightEncoder.Best, ElementType.F32)]
    public void Integers_in_groups_are_written_as_the_format_says_with_the_shape_of_each_weight(int group, WeightEncoder encoder, ElementType type)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(type: type);
        checkpoint.Quantize(checkpoint.Options("w4a16") with { Recipe = Presets.WithGroupSize(Presets.Get("w4a16"), group), Encoder = encoder, Fix = true });
        using CheckpointFolder source = CheckpointFolder.Open(checkpoint.Model), result = CheckpointFolder.Open(checkpoint.Output);
        Dictionary<string, byte[]> before = Contents(source), written = Contents(result);
        string[] encoded = [.. written.Keys.Where(name => name.EndsWith("_packed", StringComparison.Ordinal)).Select(name => name[..^"_packed".Length])];
        Assert.Equal(group == 32 ? 12 : 10, encoded.Length); // 64 and 128 do not divide the down projection's 416
        foreach (string name in encoded)
        {
            IReadOnlyList<long> shape = source.Tensors.Single(tensor => tensor.Name == name).Shape;
            (int rows, int columns) = ((int)shape[0], (int)shape[1]);
            byte[] packed = new byte[rows * columns / 2], scales = new byte[rows * columns / group * type.Bytes()];
            Int4Group.Encode(encoder, type, before[name], group, ColumnWeights.Of([], columns), packed, scales, new QuantizationError[rows], new QuantizationError[encoder == WeightEncoder.Best ? rows : 0]);
            Assert.Equal(packed, written[name + "_packed"]);
            Assert.Equal(scales, written[name + "_scale"]);
            Assert.Equal([rows, columns], MemoryMarshal.Cast<byte, long>(written[name + "_shape"]).ToArray());
            Assert.False(written.ContainsKey(name));
        }
    }

    [Theory]
    [InlineData(WeightEncoder.Library)]
    [InlineData(WeightEncoder.Best)]
    public void Zero_points_are_written_for_eight_rows_in_a_word_and_the_configuration_says_so(WeightEncoder encoder)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize(Options(checkpoint, "w4a16-asym") with { Encoder = encoder });
        using CheckpointFolder source = CheckpointFolder.Open(checkpoint.Model), result = CheckpointFolder.Open(checkpoint.Output);
        Dictionary<string, byte[]> before = Contents(source), written = Contents(result);
        string[] encoded = [.. written.Keys.Where(name => name.EndsWith("_packed", StringComparison.Ordinal)).Select(name => name[..^"_packed".Length])];
        Assert.Equal(12, encoded.Length);
        foreach (string name in encoded)
        {
            IReadOnlyList<long> shape = source.Tensors.Single(tensor => tensor.Name == name).Shape;
            (int rows, int columns) = ((int)shape[0], (int)shape[1]);
            byte[] packed = new byte[rows * columns / 2], scales = new byte[rows * columns / 16], zeroPoints = new byte[ZeroPoints.BytesOf(rows, columns / 32)];
            Int4ZeroPointGroup.Encode(
                encoder, ElementType.BF16, before[name], 32, ColumnWeights.Of([], columns), packed, scales, zeroPoints, new QuantizationError[rows], new QuantizationError[encoder == WeightEncoder.Best ? rows : 0]);
            Assert.Equal(packed, written[name + "_packed"]);
            Assert.Equal(scales, written[name + "_scale"]);
            Assert.Equal(zeroPoints, written[name + "_zero_point"]);
            Assert.Equal([rows, columns], MemoryMarshal.Cast<byte, long>(written[name + "_shape"]).ToArray());
            Assert.Equal($"I32 [{(rows + 7) / 8}, {columns / 32}]", result.Tensors.Single(tensor => tensor.Name == name + "_zero_point").Describe());
        }

        JsonElement weights = JsonText.Load(Path.Combine(checkpoint.Output, "config.json")).Get("quantization_config", "config_groups", "group_0", "weights")!.Value;
        Assert.False(weights.GetProperty("symmetric").GetBoolean());
        Assert.Equal("torch.int8", weights.GetProperty("zp_dtype").GetString());
    }

    [Fact]
    public void Query_key_and_value_share_the_global_scale_of_the_largest_weight_among_them()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 3);
        checkpoint.Quantize(checkpoint.Options("nvfp4a16") with { MaxShardBytes = 60_000 });
        using CheckpointFolder source = CheckpointFolder.Open(checkpoint.Model), result = CheckpointFolder.Open(checkpoint.Output);
        Dictionary<string, byte[]> before = Contents(source), written = Contents(result);
        foreach (int layer in (int[])[0, 1])
        {
            string[] fused = [.. ((string[])["q", "k", "v"]).Select(name => $"model.layers.{layer}.self_attn.{name}_proj.weight")];
            Check(fused);
            Check([$"model.layers.{layer}.self_attn.o_proj.weight"]);
        }

        void Check(string[] names)
        {
            float largest = names.Max(name => ElementConversion.LargestMagnitude(ElementType.BF16, before[name], out _)), globalScale = NvFp4Group.LibraryGlobalScale(ElementType.BF16, largest);
            foreach (string name in names)
            {
                IReadOnlyList<long> shape = source.Tensors.Single(tensor => tensor.Name == name).Shape;
                (int rows, int columns) = ((int)shape[0], (int)shape[1]);
                byte[] packed = new byte[rows * columns / 2], scales = new byte[rows * columns / 16];
                NvFp4Group.Encode(
                    WeightEncoder.Best, ElementType.BF16, before[name], globalScale, ColumnWeights.Of([], columns), packed, scales, new QuantizationError[rows], new QuantizationError[rows]);
                Assert.Equal(globalScale, BitConverter.ToSingle(written[name + "_global_scale"]));
                Assert.Equal(scales, written[name + "_scale"]);
                Assert.Equal(packed, written[name + "_packed"]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Schemes))]
    public void Threads_shards_and_interruptions_do_not_change_the_bytes_and_the_result_is_sound(string scheme)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 2);
        JobOptions options = Options(checkpoint, scheme) with { MaxShardBytes = 150_000 };
        Dictionary<string, byte[]> whole = checkpoint.Quantize(options with { Threads = 1 });
        TestCheckpoint.AssertSame(whole, checkpoint.Quantize(options with { Threads = 5, Output = checkpoint.Output + "5" }));

        JobOptions again = options with { Output = checkpoint.Output + "r" };
        for (int seen = 3; ; seen += 4)
        {
            using CancellationTokenSource stop = new();
            int reports = 0, last = seen;
            using QuantizationJob job = QuantizationJob.Prepare(again, TestContext.Current.CancellationToken);
            try
            {
                job.Run(new Report(() => Interrupt(ref reports, last, stop)), stop.Token);
                break;
            }
            catch (OperationCanceledException)
            {
                again = again with { Resume = true };
            }
        }

        Assert.True(again.Resume);
        TestCheckpoint.AssertSame(whole, TestCheckpoint.Files(again.Output));

        VerificationReport report = Verifier.Verify(checkpoint.Output, checkpoint.Model, false, 2, null, CancellationToken.None);
        Assert.Empty(report.Findings);
        Assert.Equal(Verdict.Pass, report.Checks.Single(check => check.Name == "fused-layers").Verdict);

        static void Interrupt(ref int reports, int last, CancellationTokenSource stop)
        {
            if (Interlocked.Increment(ref reports) == last)
            {
                stop.Cancel();
            }
        }
    }

    [Theory]
    [InlineData("w4a16", "_packed")]
    [InlineData("w4a16", "_scale")]
    [InlineData("w4a16", "_shape")]
    [InlineData("w4a16-asym", "_packed")]
    [InlineData("w4a16-asym", "_zero_point")]
    [InlineData("nvfp4a16", "_packed")]
    [InlineData("nvfp4a16", "_scale")]
    [InlineData("nvfp4a16", "_global_scale")]
    public void A_code_or_scale_that_no_rounding_explains_is_found_against_the_base_model(string scheme, string part)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize(Options(checkpoint, scheme));
        File.Delete(Path.Combine(checkpoint.Output, "bitsmith.json"));
        string path = Path.Combine(checkpoint.Output, Sharding.SingleFileName);
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            StoredTensor tensor = file.Header.Tensors.Single(tensor => tensor.Name == "model.layers.0.self_attn.o_proj.weight" + part);
            byte[] content = File.ReadAllBytes(path);
            content[tensor.Offset + (tensor.Type == ElementType.F32 ? 3 : tensor.Type == ElementType.I64 ? 0 : 1)] ^= 0x44;
            File.WriteAllBytes(checkpoint.Output + ".changed", content);
        }

        File.Move(checkpoint.Output + ".changed", path, overwrite: true);
        Finding finding = Assert.Single(Verifier.Verify(checkpoint.Output, checkpoint.Model, false, 2, null, CancellationToken.None).Findings);
        Assert.Equal("model.layers.0.self_attn.o_proj.weight", finding.Place);
    }

    [Fact]
    public void Several_formats_are_written_as_mixed_precision_in_the_order_of_the_modules()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize(Options(checkpoint, "mixed"));
        JsonText config = JsonText.Load(Path.Combine(checkpoint.Output, "config.json"));
        Assert.Equal("mixed-precision", config.Get("quantization_config", "format")!.Value.GetString());
        Assert.Equal(
            ["nvfp4-pack-quantized", "pack-quantized", "float-quantized"],
            config.Get("quantization_config", "config_groups")!.Value.EnumerateObject().Select(group => group.Value.GetProperty("format").GetString()));
        Assert.Equal(["lm_head"], config.Get("quantization_config", "ignore")!.Value.EnumerateArray().Select(entry => entry.GetString()));
    }

    [Fact]
    public void Different_global_scales_of_what_is_fused_fail_the_packaging_check()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize(Options(checkpoint, "nvfp4a16"));
        string path = Path.Combine(checkpoint.Output, Sharding.SingleFileName);
        long place;
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            place = file.Header.Tensors.Single(tensor => tensor.Name == "model.layers.1.self_attn.k_proj.weight_global_scale").Offset;
        }

        byte[] content = File.ReadAllBytes(path);
        content[place + 2] ^= 1;
        File.WriteAllBytes(path, content);
        CheckResult check = PackageInspector.Inspect(checkpoint.Output, false).Results.Single(result => result.Name == "fused-layers");
        Assert.Equal(Verdict.Fail, check.Verdict);
        Assert.Equal(3, check.Modules!.Count);
    }

    [Fact]
    public void A_weight_that_groups_do_not_divide_is_refused_or_kept_with_fix()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        JobOptions options = checkpoint.Options("w4a16");
        RecipeException refusal = Assert.Throws<RecipeException>(() => QuantizationJob.Prepare(options, TestContext.Current.CancellationToken));
        Assert.Contains("416 input features do not divide into groups of 128", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("model.layers.0.mlp.down_proj", refusal.Message, StringComparison.Ordinal);

        using QuantizationJob job = QuantizationJob.Prepare(options with { Fix = true }, TestContext.Current.CancellationToken);
        Assert.Equal(10, job.Plan.EncodedModules);
        Assert.All(job.Plan.Rows.Where(row => row.Source.Name.Contains("down_proj", StringComparison.Ordinal)), row => Assert.StartsWith("fix:", row.Rule, StringComparison.Ordinal));
    }

    private static JobOptions Options(TestCheckpoint checkpoint, string scheme) => scheme == "mixed"
        ? checkpoint.Options("fp8-block") with { Recipe = RecipeYaml.Parse(Mixed, "mixed.yaml") }
        : scheme.StartsWith("w4a16", StringComparison.Ordinal) ? checkpoint.Options(scheme) with { Recipe = Presets.WithGroupSize(Presets.Get(scheme), 32) }
        : checkpoint.Options(scheme);

    private static Dictionary<string, byte[]> Contents(CheckpointFolder folder) => folder.Files
        .SelectMany(file => file.Header.Tensors.Select(tensor => (tensor.Name, file.View(tensor).ToArray()))).ToDictionary();

    private sealed class Report(Action told) : IProgress<JobProgress>
    {
        void IProgress<JobProgress>.Report(JobProgress value) => told();
    }
}

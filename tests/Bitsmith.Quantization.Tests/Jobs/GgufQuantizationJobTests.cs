using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Tests.Jobs;

public sealed class GgufQuantizationJobTests
{
    [Theory]
    [InlineData("tiny-glm4", "Q4_K_M")]
    [InlineData("tiny-glm4moe", "IQ3_S")]
    [InlineData("tiny-glm4moe", "Q5_0")]
    public void Every_tensor_holds_what_its_format_makes_of_the_weights_and_the_importance(string model, string mix)
    {
        using GoldenModel golden = new(model);
        ImportanceMatrix imatrix = ImportanceMatrix.Load(ImatrixOf(model));
        GgufManifest manifest = Run(Options(golden, mix) with { Imatrix = ImatrixOf(model) });

        using GgufModel result = GgufModel.Open(golden.Output);
        HashSet<GgufTensorType> types = [];
        foreach (GgufTensor expected in golden.File.Tensors)
        {
            (GgufFile file, GgufTensor tensor) = result.Find(expected.Name)!.Value;
            ReadOnlySpan<byte> original = golden.File.Files[0].View(expected), stored = file.View(tensor);
            types.Add(tensor.Type);
            if (tensor.Type == expected.Type)
            {
                Assert.True(original.SequenceEqual(stored), tensor.Name);
                continue;
            }

            float[] weights = new float[expected.Elements], decoded = new float[expected.Elements];
            ElementConversion.ToSingle(ElementType.F16, original, weights);
            GgmlFormat format = GgmlFormats.Of((GgmlType)tensor.Type.Number);
            int columns = (int)tensor.Shape[^1], rows = (int)tensor.Shape[^2], matrices = weights.Length / columns / rows;
            float[] factors = imatrix.Entries.TryGetValue(tensor.Name, out ImatrixEntry? entry) ? entry.Importance() : [];
            byte[] bytes = new byte[stored.Length];
            for (int matrix = 0; matrix < matrices; matrix++)
            {
                ReadOnlySpan<float> own = factors.Length == 0 ? [] : factors.AsSpan(matrix * columns, columns);
                format.Encode(weights.AsSpan(matrix * rows * columns, rows * columns), columns, own, bytes.AsSpan(matrix * (bytes.Length / matrices), bytes.Length / matrices));
            }

            Assert.True(bytes.AsSpan().SequenceEqual(stored), tensor.Name);
            format.Decode(bytes, decoded);
            QuantizationError error = QuantizationError.Between(weights, decoded);
            Assert.Equal(error.RelativeRmse, manifest.Tensors.Single(report => report.Name == tensor.Name).RelativeRmse!.Value, 1e-9);
        }

        Assert.True(types.Count >= 3, string.Join(", ", types.Select(type => type.Name)));
    }

    [Fact]
    public void A_folder_gives_the_same_tensors_as_its_converted_file_for_any_number_of_threads()
    {
        using GoldenModel golden = new("tiny-glm4moe");
        string file = Path.Combine(Path.GetDirectoryName(golden.Output)!, "file.gguf");
        Run(Options(golden, "IQ4_XS") with { Threads = 1 });
        Run(Options(golden, "IQ4_XS") with { Threads = 5, Model = golden.File.Files[0].Path, Output = file });

        using GgufModel folder = GgufModel.Open(golden.Output), converted = GgufModel.Open(file);
        Assert.Equal(folder.Tensors.Select(tensor => (tensor.Name, tensor.Describe())), converted.Tensors.Select(tensor => (tensor.Name, tensor.Describe())));
        foreach (GgufTensor tensor in folder.Tensors)
        {
            (GgufFile other, GgufTensor same) = converted.Find(tensor.Name)!.Value;
            Assert.True(folder.Files[0].View(tensor).SequenceEqual(other.View(same)), tensor.Name);
        }
    }

    [Fact]
    public void Metadata_is_the_source_s_followed_by_what_llama_quantize_adds()
    {
        using GoldenModel golden = new("tiny-glm4");
        Run(Options(golden, "q4_k") with { Model = golden.File.Files[0].Path, Imatrix = ImatrixOf("tiny-glm4") });
        using GgufModel result = GgufModel.Open(golden.Output);

        string[] set = ["general.quantization_version", "general.file_type"];
        string[] added = ["quantize.imatrix.file", "quantize.imatrix.dataset", "quantize.imatrix.entries_count", "quantize.imatrix.chunks_count"];
        Assert.Equal([.. golden.File.Metadata.Select(pair => pair.Key).Where(key => !set.Contains(key)), .. set, .. added], result.Metadata.Select(pair => pair.Key));
        Assert.Equal((2L, 15L), (result.Metadata.Integer(set[0]), result.Metadata.Integer(set[1])));
        Assert.Equal("tiny-glm4.imatrix.gguf", result.Metadata.Text(added[0]));
        Assert.Equal((ImportanceMatrix.Load(ImatrixOf("tiny-glm4")).Entries.Count, 10), (result.Metadata.Integer(added[2]), result.Metadata.Integer(added[3])));
    }

    [Fact]
    public void Tensors_without_importance_data_are_encoded_with_equal_weights_and_said()
    {
        using GoldenModel golden = new("tiny-glm4moe");
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(Options(golden, "IQ2_XS") with { Imatrix = ImatrixOf("tiny-glm4moe") });

        GgufPlanRow mtp = job.Plan.Rows.Single(row => row.Output.Name.EndsWith("nextn.eh_proj.weight", StringComparison.Ordinal));
        Assert.Equal((ImportanceUse.Missing, true), (mtp.Importance, mtp.IsEncoded));
        GgufPlanRow unseen = job.Plan.Rows.Single(row => row.Output.Name == "blk.2.ffn_up_exps.weight");
        Assert.Equal((ImportanceUse.Partial, 1), (unseen.Importance, unseen.MatricesWithoutData));
        Assert.Contains(job.Plan.Warnings, warning => warning.Contains("tensor(s) have no data in tiny-glm4moe.imatrix.gguf (blk.3.", StringComparison.Ordinal));
        Assert.Contains(job.Plan.Warnings, warning => warning.Contains("3 expert matrices in 3 tensor(s) have no data", StringComparison.Ordinal));
        Assert.Equal(job.Plan.EncodedTensors, job.Run(null, TestContext.Current.CancellationToken).Totals.EncodedTensors);
    }

    [Fact]
    public void Types_of_few_bits_are_refused_without_an_importance_matrix_unless_permitted()
    {
        using GoldenModel golden = new("tiny-glm4");
        RequestException refusal = Assert.Throws<RequestException>(() => GgufQuantizationJob.Prepare(Options(golden, "IQ2_M")));
        Assert.Contains("--imatrix", refusal.Message, StringComparison.Ordinal);
        Assert.NotEmpty(Run(Options(golden, "IQ2_M") with { AllowNoImatrix = true }).Warnings);
    }

    [Fact]
    public void An_importance_matrix_of_another_model_is_refused()
    {
        using GoldenModel golden = new("tiny-glm4");
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => GgufQuantizationJob.Prepare(Options(golden, "Q4_K_M") with { Imatrix = ImatrixOf("tiny-glm4moe") }));
        Assert.Contains("belongs to another model", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_quantized_source_needs_permission_and_keeps_tensors_that_have_their_type()
    {
        using GoldenModel golden = new("tiny-glm4");
        Run(Options(golden, "Q8_0"));
        string second = Path.Combine(Path.GetDirectoryName(golden.Output)!, "second.gguf");
        GgufJobOptions options = Options(golden, "Q4_0") with { Model = golden.Output, Output = second, MixOptions = new MixOptions([new TensorTypeOverride("attn_v=q8_0")]) };
        Assert.Contains("--allow-requantize", Assert.Throws<RequestException>(() => GgufQuantizationJob.Prepare(options)).Message, StringComparison.Ordinal);

        Run(options with { AllowRequantize = true });
        using GgufModel first = GgufModel.Open(golden.Output), result = GgufModel.Open(second);
        (GgufFile file, GgufTensor tensor) = result.Find("blk.1.attn_v.weight")!.Value;
        Assert.True(first.Files[0].View(first.Find(tensor.Name)!.Value.Tensor).SequenceEqual(file.View(tensor)));
        Assert.Equal("Q4_0", result.Find("blk.1.attn_q.weight")!.Value.Tensor.Type.Name);
        Assert.Contains("nothing would change", Assert.Throws<RequestException>(() => GgufQuantizationJob.Prepare(options with { Mix = MixOf("Q8_0"), AllowRequantize = true })).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void A_weight_that_is_no_number_stops_the_work_and_is_named(float weight)
    {
        using GoldenModel golden = new("tiny-glm4");
        float[] values = new float[256 * 256];
        values[(201 * 256) + 250] = weight;
        golden.Change(new TensorInfo("model.layers.1.self_attn.o_proj.weight", ElementType.F32, [256, 256]), [.. values.SelectMany(BitConverter.GetBytes)]);

        CheckpointException problem = Assert.Throws<CheckpointException>(() => Run(Options(golden, "Q4_K_M")));
        Assert.Contains("'model.layers.1.self_attn.o_proj.weight' (blk.1.attn_output.weight): the weight at row 201, column 250 is", problem.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(golden.Output));
    }

    [Fact]
    public void A_split_result_holds_the_same_bytes_as_a_whole_one()
    {
        using GoldenModel golden = new("tiny-glm4");
        GgufManifest whole = Run(Options(golden, "Q6_K"));
        string parts = Path.Combine(Path.GetDirectoryName(golden.Output)!, "parts.gguf");
        GgufManifest split = Run(Options(golden, "Q6_K") with { Output = parts, MaxFileBytes = 200_000 });

        Assert.True(split.Output.Count > 2);
        using GgufModel one = GgufModel.Open(golden.Output), many = GgufModel.Open(Path.Combine(Path.GetDirectoryName(parts)!, split.Output[0].File));
        foreach (GgufTensor tensor in one.Tensors)
        {
            (GgufFile file, GgufTensor same) = many.Find(tensor.Name)!.Value;
            Assert.True(one.Files[0].View(tensor).SequenceEqual(file.View(same)), tensor.Name);
        }

        Assert.Equal(FileHash.Compute(golden.Output).Sha256, whole.Output.Single().Sha256);
        Assert.All(split.Output, file => Assert.Equal(FileHash.Compute(Path.Combine(Path.GetDirectoryName(parts)!, file.File)).Sha256, file.Sha256));
    }

    [Fact]
    public void A_limit_below_the_need_is_refused_and_the_need_grows_with_threads()
    {
        using GoldenModel golden = new("tiny-glm4");
        using GgufQuantizationJob one = GgufQuantizationJob.Prepare(Options(golden, "Q8_0") with { Threads = 1, MaxMemoryBytes = 1 << 20 }), many = GgufQuantizationJob.Prepare(Options(golden, "Q8_0") with { Threads = 32 });
        Assert.True(one.Estimate.PeakMemoryBytes < many.Estimate.PeakMemoryBytes);
        Assert.Contains("--max-memory", Assert.Throws<RequestException>(() => one.Run(null, TestContext.Current.CancellationToken)).Message, StringComparison.Ordinal);
        many.MeasureTime(new LeapingClock());
        Assert.True(many.Estimate.Seconds > 0);
        Assert.True(many.Estimate.DiskBytes >= many.Plan.BytesAfter);
    }

    [Fact]
    public void The_source_is_not_overwritten()
    {
        using GoldenModel golden = new("tiny-glm4");
        string source = golden.Output;
        File.Copy(golden.File.Files[0].Path, source);
        Assert.Contains("is the source itself", Assert.Throws<RequestException>(() => Run(Options(golden, "Q8_0") with { Model = source, Force = true })).Message, StringComparison.Ordinal);
    }

    internal static GgufMix MixOf(string name) => GgufMix.TryParse(name, out GgufMix? mix) ? mix : throw new ArgumentException(name);

    internal static GgufJobOptions Options(GoldenModel golden, string mix) => new() { Model = golden.Folder, Output = golden.Output, Mix = MixOf(mix), Threads = 2 };

    private static GgufManifest Run(GgufJobOptions options)
    {
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(options);
        return job.Run(null, TestContext.Current.CancellationToken);
    }

    private static string ImatrixOf(string model) => Path.Combine(AppContext.BaseDirectory, "gguf", "imatrix", $"{model}.imatrix.gguf");
}

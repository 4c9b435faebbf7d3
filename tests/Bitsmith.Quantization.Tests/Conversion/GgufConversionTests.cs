using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Tests.Conversion;

public sealed class GgufConversionTests
{
    // A folder has no description, and its own name. For glm4, llama.cpp's converter chooses another start token than the golden file has.
    private static readonly string[] OwnKeys = ["general.name", "general.description"];

    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4moe")]
    public void The_result_has_the_keys_and_tensors_of_the_golden_file_byte_for_byte(string name)
    {
        using GoldenModel golden = new(name);
        Convert(golden, GgufTensorType.F16);
        using GgufModel result = GgufModel.Open(golden.Output);

        string[] own = name == "tiny-glm4" ? [.. OwnKeys, "tokenizer.ggml.bos_token_id"] : OwnKeys;
        Assert.Equal(Pairs(golden.File, own), Pairs(result, own));
        Assert.Equal("tiny", result.Metadata.Text("general.name"));
        Assert.Equal(golden.File.Tensors.Select(tensor => tensor.Name).Order(), result.Tensors.Select(tensor => tensor.Name).Order());
        foreach (GgufTensor expected in golden.File.Tensors)
        {
            (GgufFile file, GgufTensor tensor) = result.Find(expected.Name)!.Value;
            Assert.Equal(expected.Describe(), tensor.Describe());
            Assert.True(golden.File.Files[0].View(expected).SequenceEqual(file.View(tensor)), tensor.Name);
        }
    }

    [Fact]
    public void Wider_types_hold_the_same_values_and_a_split_result_the_same_tensors()
    {
        using GoldenModel golden = new("tiny-glm4moe");
        GgufConversionResult done = Convert(golden, GgufTensorType.F32, maxFileBytes: 500_000);
        Assert.True(done.Files.Count > 3);
        using GgufModel result = GgufModel.Open(done.Files[0]);
        Assert.Equal(0, result.Metadata.Integer("general.file_type"));
        foreach (GgufTensor expected in golden.File.Tensors.Where(tensor => tensor.Type == GgufTensorType.F16))
        {
            (GgufFile file, GgufTensor tensor) = result.Find(expected.Name)!.Value;
            float[] values = new float[expected.Elements], found = new float[expected.Elements];
            ElementConversion.ToSingle(ElementType.F16, golden.File.Files[0].View(expected), values);
            ElementConversion.ToSingle(ElementType.F32, file.View(tensor), found);
            Assert.Equal(values, found);
        }
    }

    [Theory]
    [InlineData(65519.99f, true)]
    [InlineData(65520f, false)]
    [InlineData(-1e6f, false)]
    [InlineData(float.NaN, false)]
    [InlineData(float.PositiveInfinity, false)]
    public void A_weight_that_f16_cannot_hold_stops_the_work_and_is_named(float weight, bool fits)
    {
        using GoldenModel golden = new("tiny-glm4");
        float[] values = new float[256 * 256];
        values[(7 * 256) + 5] = weight;
        golden.Change(new TensorInfo("model.layers.1.self_attn.o_proj.weight", ElementType.F32, [256, 256]), [.. values.SelectMany(BitConverter.GetBytes)]);
        if (fits)
        {
            Convert(golden, GgufTensorType.F16);
            return;
        }

        JobException refusal = Assert.Throws<JobException>(() => Convert(golden, GgufTensorType.F16));
        Assert.Contains("'model.layers.1.self_attn.o_proj.weight' (blk.1.attn_output.weight), row 7, column 5", refusal.Message, StringComparison.Ordinal);
        Assert.False(Directory.EnumerateFiles(Path.GetDirectoryName(golden.Output)!).Any());
    }

    [Fact]
    public void A_tensor_that_has_no_place_in_the_file_is_refused()
    {
        using GoldenModel golden = new("tiny-glm4");
        golden.Change(new TensorInfo("model.layers.0.self_attn.q_norm.weight", ElementType.F32, [1]), new byte[4]);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => Convert(golden, GgufTensorType.F32));
        Assert.Contains("'model.layers.0.self_attn.q_norm.weight' has no place", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_tensor_is_refused_before_anything_is_written()
    {
        using GoldenModel golden = new("tiny-glm4moe");
        golden.Change(new TensorInfo("model.layers.1.mlp.experts.5.up_proj.weight", ElementType.F16, []), null);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => GgufConversion.Prepare(Options(golden, GgufTensorType.F32)).Dispose());
        Assert.Contains("'model.layers.1.mlp.experts.5.up_proj.weight' [64, 128] is missing", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Layers_for_multi_token_prediction_that_only_the_config_has_are_left_out_and_said()
    {
        using GoldenModel golden = new("tiny-glm4");
        golden.Config["num_nextn_predict_layers"] = 1;
        golden.Save();
        GgufConversionResult done = Convert(golden, GgufTensorType.F32);
        Assert.Contains(done.Notes, note => note.Contains("1 layer(s) for multi-token prediction", StringComparison.Ordinal));
        using GgufModel result = GgufModel.Open(golden.Output);
        Assert.Equal(2, result.Metadata.Integer("glm4.block_count"));
        Assert.Null(result.Metadata.Find("glm4.nextn_predict_layers"));
    }

    [Fact]
    public void A_tied_head_is_not_written_twice()
    {
        using GoldenModel golden = new("tiny-glm4");
        golden.Config["tie_word_embeddings"] = true;
        golden.Save();
        GgufConversionResult done = Convert(golden, GgufTensorType.F32);
        Assert.Contains(done.Notes, note => note.Contains("lm_head.weight", StringComparison.Ordinal));
        using GgufModel result = GgufModel.Open(golden.Output);
        Assert.Null(result.Find("output.weight"));
    }

    [Fact]
    public void A_tokenizer_with_ids_beyond_the_table_is_refused()
    {
        using GoldenModel golden = new("tiny-glm4");
        golden.Config["vocab_size"] = 300;
        golden.Change(new TensorInfo("model.embed_tokens.weight", ElementType.F16, [300, 256]), new byte[300 * 256 * 2]);
        golden.Change(new TensorInfo("lm_head.weight", ElementType.F16, [300, 256]), new byte[300 * 256 * 2]);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => Convert(golden, GgufTensorType.F32));
        Assert.Contains("vocab_size is 300", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_conversion_leaves_nothing_behind()
    {
        using GoldenModel golden = new("tiny-glm4");
        using CancellationTokenSource stop = new();
        using GgufConversion conversion = GgufConversion.Prepare(Options(golden, GgufTensorType.F32));
        Assert.Throws<OperationCanceledException>(() => conversion.Run(new Stop(stop), stop.Token));
        Assert.Empty(Directory.EnumerateFiles(Path.GetDirectoryName(golden.Output)!));
    }

    private static GgufConversionResult Convert(GoldenModel golden, GgufTensorType type, long? maxFileBytes = null)
    {
        using GgufConversion conversion = GgufConversion.Prepare(Options(golden, type) with { MaxFileBytes = maxFileBytes });
        return conversion.Run(null, TestContext.Current.CancellationToken);
    }

    private static GgufConversionOptions Options(GoldenModel golden, GgufTensorType type) => new() { Model = golden.Folder, Output = golden.Output, Type = type };

    private static SortedDictionary<string, GgufValue> Pairs(GgufModel model, string[] without) =>
        new(model.Metadata.Where(pair => !without.Contains(pair.Key)).ToDictionary(), StringComparer.Ordinal);

    private sealed class Stop(CancellationTokenSource source) : IProgress<JobProgress>
    {
        public void Report(JobProgress value) => source.Cancel();
    }
}

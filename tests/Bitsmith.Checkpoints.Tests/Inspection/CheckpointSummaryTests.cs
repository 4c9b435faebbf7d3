using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Checkpoints.Tests.Support;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Tests.Inspection;

public sealed partial class CheckpointSummaryTests
{
    private static readonly string SmallModel =
        Path.Combine(AppContext.BaseDirectory, "Fixtures", "compressed-tensors", "tiny", "small_glm4_fp8_block32");

    [Fact]
    public void A_folder_is_summed_up_with_its_scales_counted_apart()
    {
        using TemporaryFolder folder = new();
        folder.Write("config.json", File.ReadAllBytes(Path.Combine(SmallModel, "config.json")));
        folder.Write("model.safetensors", File.ReadAllBytes(Path.Combine(SmallModel, "model.safetensors")));
        folder.Write("notes/x.gguf", "left out of a derived checkpoint");
        CheckpointSummary summary = CheckpointSummary.Create(folder.Path);

        Assert.Equal(("glm4", "Glm4ForCausalLM"), (summary.ModelType, Assert.Single(summary.Architectures)));
        Assert.Equal(22, summary.Tensors.Count);
        Assert.Equal(16 + 32 + 8 + 16 + 16 + 8, summary.QuantizationParameters);
        const int Quantized = (3 * 128 * 128) + (256 * 128) + (2 * 64 * 128), Kept = (2 * 128 * 128) + (5 * 128) + 64 + 128 + 64;
        Assert.Equal(Quantized + Kept, summary.Parameters);
        Assert.Equal(165824, summary.TensorBytes);
        Assert.Equal(8.0 * 165824 / (Quantized + Kept), summary.BitsPerWeight);
        Assert.Equal(["BF16", "F8_E4M3"], summary.Types.Select(type => type.Type));
        Assert.Equal(new TypeSummary("F8_E4M3", 6, Quantized, Quantized), summary.Types[1]);
        Assert.Equal(summary.TensorBytes, summary.Types.Sum(type => type.Bytes));
        Assert.Equal(["config.json", "notes/x.gguf"], summary.SideFiles);
        Assert.Equal(
            "float-quantized: weights 8 bit float block 32x32, activations 8 bit float group 128 dynamic true; targets Linear",
            Assert.Single(summary.Quantization));
    }

    [Fact]
    public void A_single_file_is_summed_up_alone()
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("w.safetensors", Weights.File(
            new TensorInfo("w", ElementType.F8E4M3, [4, 6]), new TensorInfo("w_scale", ElementType.BF16, [1, 1]), new TensorInfo("w_zero_point", ElementType.I8, [3])));
        CheckpointSummary summary = CheckpointSummary.Create(path);
        Assert.Null(summary.ModelType);
        Assert.Equal((24L, 4L, 29L), (summary.Parameters, summary.QuantizationParameters, summary.TensorBytes));
        Assert.Equal(29.0 * 8 / 24, summary.BitsPerWeight);
        FileSummary file = Assert.Single(summary.Files);
        Assert.Equal(("w.safetensors", new FileInfo(path).Length, 3), (file.File, file.Bytes, file.Tensors));
        Assert.Equal("pt", file.Metadata["format"]);
    }

    [Fact]
    public void A_file_without_tensors_has_no_bits_per_weight()
    {
        using TemporaryFolder folder = new();
        Assert.Equal(0, CheckpointSummary.Create(folder.Write("w.safetensors", Weights.Named())).BitsPerWeight);
    }

    [Fact]
    public void A_path_that_leads_nowhere_is_refused() =>
        Assert.Contains("no such file or folder", Assert.Throws<CheckpointException>(() => CheckpointSummary.Create("/no/such/model")).Message, StringComparison.Ordinal);

    [Fact]
    public void All_json_names_are_snake_case_and_the_values_are_those_of_the_summary()
    {
        CheckpointSummary summary = CheckpointSummary.Create(Path.Combine(SmallModel, "model.safetensors"));
        JsonNode json = JsonNode.Parse(summary.ToJson())!;
        Assert.All(Names(json), name => Assert.Matches(SnakeCase(), name));
        Assert.Equal(
            [
                "path", "model_type", "architectures", "parameters", "quantization_parameters", "tensor_bytes", "bits_per_weight", "types", "files", "side_files",
                "quantization", "tensors", "metadata",
            ],
            json.AsObject().Select(property => property.Key));
        Assert.Equal(summary.TensorBytes, (long)json["tensor_bytes"]!);
        Assert.Equal(summary.BitsPerWeight, (double)json["bits_per_weight"]!);
        JsonNode tensor = json["tensors"]!.AsArray().Single(entry => (string)entry!["name"]! == "model.layers.0.mlp.gate_up_proj.weight")!;
        Assert.Equal(("F8_E4M3", "model.safetensors", 32768L), ((string)tensor["type"]!, (string)tensor["file"]!, (long)tensor["bytes"]!));
        Assert.Equal([256, 128], tensor["shape"]!.AsArray().Select(size => (int)size!));
    }

    [Fact]
    public void A_gguf_file_is_summed_up_with_its_metadata()
    {
        using TemporaryFolder folder = new();
        CheckpointSummary summary = CheckpointSummary.Create(folder.Write("m.gguf", GgufFiles.Small()));
        Assert.Equal(("glm4", 15 + 9 + 512 + 0 + 1, 30 + 36 + 288 + 0 + 2), (summary.ModelType, summary.Parameters, summary.TensorBytes));
        Assert.Equal(["file type not stated"], summary.Quantization);
        Assert.Equal(["Q4_K", "F32", "F16", "BF16"], summary.Types.Select(type => type.Type));
        JsonNode json = JsonNode.Parse(summary.ToJson())!;
        JsonNode texts = json["metadata"]!.AsArray().Single(pair => (string)pair!["key"]! == "texts")!;
        Assert.Equal(("String[4]", "日本"), ((string)texts["type"]!, (string)texts["value"]![2]!));
        Assert.Equal([1, 256], [(int)json["tensors"]![2]!["shape"]![1]!, (int)json["tensors"]![2]!["shape"]![2]!]);
    }

    private static IEnumerable<string> Names(JsonNode? node) => node switch
    {
        JsonObject inner => inner.SelectMany(property => (IEnumerable<string>)[property.Key, .. Names(property.Value)]),
        JsonArray items => items.SelectMany(Names),
        _ => [],
    };

    [GeneratedRegex("^[a-z]+(_[a-z]+)*$")]
    private static partial Regex SnakeCase();
}

using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.CompressedTensors;

public sealed class QuantizationConfigTests
{
    private static readonly string Fixture =
        Path.Combine(AppContext.BaseDirectory, "Fixtures", "compressed-tensors", "tiny", "small_glm4_fp8_block32", "config.json");

    private static readonly JsonSerializerOptions Indented =
        new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static QuantizationConfig SmallModel => new(
        [new(
            ["Linear"],
            new() { NumBits = 8, Type = "float", Strategy = "block", BlockStructure = [32, 32], Observer = "memoryless_minmax" },
            new() { NumBits = 8, Type = "float", Strategy = "group", GroupSize = 128, Dynamic = "true" },
            "float-quantized")],
        ["lm_head"]);

    private static Gen<QuantizationArgs> Args =>
        from bits in Gen.Elements(4, 8)
        from type in Gen.Elements("int", "float")
        from strategy in Gen.Elements("tensor", "group", "block")
        from symmetric in Gen.Elements(true, false)
        from size in Gen.Elements<int?>(null, 16, 128)
        from block in Gen.Elements<IReadOnlyList<int>?>(null, [128, 64])
        from dynamic in Gen.Elements("true", "false", "local")
        from words in Gen.Elements<string?>("a", "minmax", "float32", "é\"", null).ArrayOf(4)
        select new QuantizationArgs
        {
            NumBits = bits,
            Type = type,
            Strategy = strategy,
            Symmetric = symmetric,
            GroupSize = size,
            BlockStructure = block,
            Dynamic = dynamic,
            ActOrder = words[0],
            ScaleDtype = words[1],
            ZeroPointDtype = words[2],
            Observer = words[3],
        };

    private static Arbitrary<QuantizationConfig> Configs => (
        from count in Gen.Choose(0, 3)
        from weights in Args.ArrayOf(count)
        from activations in Args.ArrayOf(count)
        from formats in Gen.Elements("float-quantized", "pack-quantized").ArrayOf(count)
        from names in Gen.Elements("Linear", "re:.*\\.mlp\\..*$", "é\"\\", "").ArrayOf()
        from status in Gen.Elements("compressed", "initialized")
        select new QuantizationConfig(
            [.. Enumerable.Range(0, count).Select(i => new QuantizationGroup(names, weights[i], activations[i].NumBits == 4 ? null : activations[i], formats[i]))],
            names,
            status)).ToArbitrary();

    [Fact]
    public void What_is_written_for_the_small_model_is_what_the_library_wrote()
    {
        JsonNode library = JsonNode.Parse(File.ReadAllBytes(Fixture))!["quantization_config"]!;
        string written = SmallModel.ToJson();
        Assert.True(JsonNode.DeepEquals(library, JsonNode.Parse(written)));
        Assert.Equal(Sorted(library)!.ToJsonString(Indented), written);
    }

    [Fact]
    public void Put_into_the_config_it_gives_the_librarys_file_byte_for_byte()
    {
        byte[] file = File.ReadAllBytes(Fixture);
        JsonText text = JsonText.Parse(file, Fixture).With([QuantizationConfig.Key], "0");
        Assert.NotEqual(file, text.Utf8.ToArray());
        Assert.Equal(file, text.With([QuantizationConfig.Key], SmallModel.ToJson()).Utf8.ToArray());
    }

    [Fact]
    public void The_librarys_config_is_read_as_what_it_means()
    {
        QuantizationConfig config = QuantizationConfig.Read(JsonText.Load(Fixture), Fixture)!;
        QuantizationGroup group = Assert.Single(config.Groups), expected = SmallModel.Groups[0];
        Assert.Equal((expected.Weights, expected.InputActivations, expected.Format), (group.Weights, group.InputActivations, group.Format));
        Assert.Equal(["Linear"], group.Targets);
        Assert.Equal(["lm_head"], config.Ignore);
        Assert.Equal(("compressed", "float-quantized"), (config.Status, config.Format));
    }

    [Fact]
    public void Reading_what_was_written_gives_it_back() =>
        Law.Holds(
            Configs,
            config =>
            {
                QuantizationConfig read = Read(config.ToJson())!;
                Assert.Equal(config.ToJson(), read.ToJson());
                Assert.Equal(config.Groups.Select(group => (group.Weights, group.InputActivations, group.Format)), read.Groups.Select(group => (group.Weights, group.InputActivations, group.Format)));
                Assert.All(read.Groups, group => Assert.Equal(config.Ignore, group.Targets));
                Assert.Equal(config.Ignore, read.Ignore);
                Assert.Equal((config.Status, config.Format), (read.Status, read.Format));
            },
            runs: 300);

    [Fact]
    public void Every_object_is_written_with_its_keys_sorted() =>
        Law.Holds(
            Configs,
            config => Assert.Equal(Sorted(JsonNode.Parse(config.ToJson()))!.ToJsonString(Indented), config.ToJson()),
            runs: 100);

    [Fact]
    public void Two_descriptions_are_equal_only_if_all_their_parts_are()
    {
        QuantizationArgs args = SmallModel.Groups[0].Weights;
        Assert.Equal(args, args with { BlockStructure = [32, 32] });
        Assert.Equal(args.GetHashCode(), (args with { BlockStructure = [32, 32] }).GetHashCode());
        Assert.All(
            [
                args with { NumBits = 4 }, args with { Type = "int" }, args with { Strategy = "group" }, args with { Symmetric = false }, args with { GroupSize = 32 },
                args with { BlockStructure = [32, 64] }, args with { BlockStructure = null }, args with { Dynamic = "true" }, args with { ActOrder = "x" },
                args with { ScaleDtype = "x" }, args with { ZeroPointDtype = "x" }, args with { Observer = null },
            ],
            other => Assert.NotEqual(args, other));
    }

    [Fact]
    public void Groups_of_different_formats_make_mixed_precision_and_none_make_dense()
    {
        QuantizationGroup group = SmallModel.Groups[0];
        Assert.Equal("mixed-precision", new QuantizationConfig([group, group with { Format = "pack-quantized" }], []).Format);
        Assert.Equal("float-quantized", new QuantizationConfig([group, group], []).Format);
        Assert.Equal("dense", new QuantizationConfig([], []).Format);
    }

    [Fact]
    public void A_missing_status_means_initialized_as_it_does_to_the_library() =>
        Assert.Equal("initialized", Read("""{"quant_method":"compressed-tensors"}""")!.Status);

    [Fact]
    public void A_group_without_a_format_takes_that_of_the_whole() =>
        Assert.Equal("pack-quantized", Assert.Single(Read("""
            {"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":{"weights":{"num_bits":4,"type":"int","strategy":"group"}}}}
            """)!.Groups).Format);

    [Theory]
    [InlineData("null")]
    [InlineData("7")]
    public void What_is_no_object_is_no_quantization(string value) => Assert.Null(Read(value));

    [Theory]
    [InlineData("""{"quant_method":"fp8"}""", "'fp8'")]
    [InlineData("""{}""", "quant_method")]
    public void Another_method_is_refused_by_name(string json, string finding) => Refused(json, finding);

    [Theory]
    [InlineData("\"FP8\"")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"weights":null}""")]
    [InlineData("""{"weights":7}""")]
    [InlineData("""{"weights":{}}""")]
    [InlineData("""{"weights":{"num_bits":8.5,"type":"int","strategy":"group"}}""")]
    [InlineData("""{"weights":{"num_bits":"8","type":"int","strategy":"group"}}""")]
    [InlineData("""{"weights":{"num_bits":8,"type":null,"strategy":"group"}}""")]
    [InlineData("""{"weights":{"num_bits":8,"type":"int","strategy":null}}""")]
    [InlineData("""{"weights":{"num_bits":8,"type":"int","strategy":"group","dynamic":3}}""")]
    [InlineData("""{"weights":{"num_bits":8,"type":"int","strategy":"group","symmetric":"yes"}}""")]
    [InlineData("""{"weights":{"num_bits":8,"type":"int","strategy":"block","block_structure":["a"]}}""")]
    [InlineData("""{"weights":{"num_bits":8,"type":"int","strategy":"block","block_structure":[1e99]}}""")]
    public void A_malformed_group_is_refused_with_its_place(string group) =>
        Refused($$"""{"quant_method":"compressed-tensors","config_groups":{"group_7":{{group}} } }""", "config_groups.group_7");

    private static void Refused(string json, string place)
    {
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => Read(json));
        Assert.StartsWith("config.json: quantization_config.", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(place, refusal.Message, StringComparison.Ordinal);
    }

    private static QuantizationConfig? Read(string json) =>
        QuantizationConfig.Read(JsonText.Parse(Encoding.UTF8.GetBytes($"{{\"quantization_config\":{json}}}"), "config.json"), "config.json");

    private static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject inner => new JsonObject(inner.OrderBy(property => property.Key, StringComparer.Ordinal).Select(property => KeyValuePair.Create(property.Key, Sorted(property.Value)))),
        JsonArray items => new JsonArray([.. items.Select(Sorted)]),
        _ => node?.DeepClone(),
    };
}

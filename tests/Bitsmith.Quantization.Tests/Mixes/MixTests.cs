using System.Globalization;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Tests.Mixes;

public sealed class MixTests
{
    private static readonly JsonObject Golden = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "gguf", "mixes-dry-run.json")))!.AsObject();

    public static TheoryData<string> Models => [.. Golden.Select(model => model.Key)];

    [Theory]
    [MemberData(nameof(Models))]
    public void Every_tensor_of_every_mix_has_the_type_that_llama_quantize_gives_it(string model)
    {
        JsonNode golden = Golden[model]!;
        ShapedModel shaped = ShapedModel.Read(golden);
        foreach ((string name, JsonNode? file) in golden["files"]!.AsObject())
        {
            Assert.True(GgufMix.TryParse(name, out GgufMix? mix), name);
            IReadOnlyList<MixDecision> decisions = MixPlanner.Decide(mix, MixOptions.None, shaped.Model, shaped.Tensors, hasImportance: false);
            Assert.Equal(Expected(file!["types"]!.AsObject()), Found(decisions));
            double mebibytes = decisions.Sum(decision => Bytes(decision)) / 1048576.0;
            Assert.Equal((double)file["size_mib"]!, mebibytes, 0.01);
        }
    }

    [Fact]
    public void With_an_importance_matrix_early_layers_of_the_four_bit_mixes_take_other_types()
    {
        ShapedModel shaped = ShapedModel.Read(Golden["GLM-4-32B-0414 (glm4)"]!);
        Assert.Equal("Q4_1 0-6, Q4_0 7-60", Down("Q4_0", hasImportance: true));
        Assert.Equal("Q4_0 0-60", Down("Q4_0", hasImportance: false));
        Assert.Equal("Q5_1 0-6, Q5_0 7-60", Down("Q5_0", hasImportance: true));
        Assert.Equal("IQ4_XS 0-60", Down("IQ4_XS", hasImportance: true));
        Assert.Equal("Q5_K 0-6, IQ4_XS 7-60", Down("IQ4_XS", hasImportance: false));
        Assert.Equal("IQ3_XXS 0-60", Down("IQ3_XXS", hasImportance: true));
        Assert.Equal("Q4_K 0-6, Q3_K 7-60", Down("IQ3_XXS", hasImportance: false));

        string Down(string name, bool hasImportance)
        {
            Assert.True(GgufMix.TryParse(name, out GgufMix? mix));
            IEnumerable<MixDecision> rows = MixPlanner.Decide(mix, MixOptions.None, shaped.Model, shaped.Tensors, hasImportance).Where(row => row.Tensor.Name.EndsWith("ffn_down.weight", StringComparison.Ordinal));
            return string.Join(", ", rows.GroupBy(row => row.Type).Select(group => $"{group.Key} {TensorRoles.LayerOf(group.First().Tensor.Name)}-{TensorRoles.LayerOf(group.Last().Tensor.Name)}"));
        }
    }

    [Fact]
    public void Options_win_over_rules_in_llama_quantize_s_order_and_the_rule_says_which_decided()
    {
        ShapedModel shaped = ShapedModel.Read(Golden["GLM-4-9B-0414 (glm4)"]!);
        Dictionary<string, MixDecision> rows = Rows(shaped, "q4_k_m", new MixOptions(
            [new TensorTypeOverride(@"blk\.[0-3]\.ATTN_v=Q8_0"), new TensorTypeOverride("attn=iq4_xs"), new TensorTypeOverride("ffn_down=q6_K")],
            OutputType: GgmlType.Q5_0, EmbeddingType: GgmlType.BF16));

        Assert.Equal((GgmlType.BF16, "--token-embedding-type"), Of("token_embd.weight"));
        Assert.Equal((GgmlType.Q5_0, "--output-tensor-type"), Of("output.weight"));
        Assert.Equal((GgmlType.Q8_0, @"--tensor-type blk\.[0-3]\.ATTN_v=Q8_0"), Of("blk.3.attn_v.weight"));
        Assert.Equal((GgmlType.IQ4_XS, "--tensor-type attn=iq4_xs"), Of("blk.4.attn_v.weight"));
        Assert.Equal((GgmlType.IQ4_XS, "--tensor-type attn=iq4_xs"), Of("blk.0.attn_output.weight"));
        Assert.Equal((GgmlType.Q8_0, "--tensor-type ffn_down=q6_K; 13696 columns are no multiple of 256: Q8_0 in place of Q6_K"), Of("blk.7.ffn_down.weight"));
        Assert.Equal((GgmlType.Q4_K, "Q4_K_M: base type"), Of("blk.0.ffn_up.weight"));
        Assert.Equal((null, "kept: a vector"), Of("blk.0.attn_norm.weight"));

        (GgmlType?, string) Of(string name) => (rows[name].Type, rows[name].Rule);
    }

    [Fact]
    public void Pure_gives_every_matrix_the_base_type_but_for_overrides_and_the_router()
    {
        ShapedModel shaped = ShapedModel.Read(Golden["GLM-4.7 (glm4moe)"]!);
        foreach (MixDecision row in Rows(shaped, "Q3_K_L", new MixOptions([new TensorTypeOverride("shexp=q8_0")], Pure: true)).Values)
        {
            GgmlType? expected = row.Tensor.Shape.Count == 1 || row.Tensor.Name.Contains("gate_inp", StringComparison.Ordinal) ? null
                : row.Tensor.Name.Contains("shexp", StringComparison.Ordinal) ? GgmlType.Q8_0 : GgmlType.Q3_K;
            Assert.Equal(expected, row.Type);
        }
    }

    [Theory]
    [InlineData("Q4_K", 96, GgmlType.Q5_0)]
    [InlineData("IQ3_XXS", 96, GgmlType.IQ4_NL)]
    [InlineData("TQ1_0", 96, GgmlType.Q4_0)]
    [InlineData("Q2_0", 32, GgmlType.Q4_0)]
    [InlineData("Q6_K", 100, GgmlType.F16)]
    [InlineData("Q6_K", 256, GgmlType.Q6_K)]
    public void Rows_that_blocks_do_not_divide_fall_back(string mix, int columns, GgmlType expected)
    {
        ShapedModel shaped = new(new MixModel(1, 1, 0), [new GgufTensorInfo("blk.0.attn_q.weight", GgufTensorType.BF16, [64, columns])]);
        MixDecision row = Assert.Single(Rows(shaped, mix, new MixOptions([], Pure: true)).Values);
        Assert.Equal(expected, row.Type);
        Assert.Equal(columns % 256 != 0, row.Rule.Contains($"{columns} columns are no multiple", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Q8_0")]
    [InlineData("Q4_0")]
    [InlineData("NVFP4")]
    [InlineData("Q1_0")]
    public void Types_without_a_substitute_refuse_such_rows(string mix)
    {
        ShapedModel shaped = new(new MixModel(1, 1, 0), [new GgufTensorInfo("blk.0.attn_q.weight", GgufTensorType.BF16, [64, 100])]);
        RequestException refusal = Assert.Throws<RequestException>(() => Rows(shaped, mix, MixOptions.None));
        Assert.Contains("'blk.0.attn_q.weight' has 100 columns", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("attn_q")]
    [InlineData("=q8_0")]
    [InlineData("attn_q=")]
    [InlineData("attn_q=q9_9")]
    [InlineData("attn_q=q8_k")]
    [InlineData("attn_(q=q8_0")]
    public void An_override_of_another_form_is_refused(string text) => Assert.Throws<RequestException>(() => new TensorTypeOverride(text));

    [Fact]
    public void An_override_that_decides_for_no_tensor_is_refused_unless_permitted()
    {
        ShapedModel shaped = ShapedModel.Read(Golden["GLM-4-9B-0414 (glm4)"]!);
        MixOptions options = new([new TensorTypeOverride("attn=q8_0"), new TensorTypeOverride("attn_q=q6_k")]);
        Assert.Contains("'attn_q=q6_k' decides for no tensor", Assert.Throws<RequestException>(() => Rows(shaped, "q4_0", options)).Message, StringComparison.Ordinal);
        Assert.NotEmpty(Rows(shaped, "q4_0", options with { AllowUnmatched = true }));
    }

    [Fact]
    public void Types_of_few_bits_need_an_importance_matrix_but_not_in_the_embedding_or_the_head()
    {
        ShapedModel shaped = ShapedModel.Read(Golden["GLM-4-32B-0414 (glm4)"]!);
        Assert.Equal((61 * 5) - 7, Needing("IQ1_S")); // all but attn_v and the first ffn_down
        Assert.Equal(0, Needing("Q2_K"));
        Assert.Equal((61 * 5) - 7, Needing("Q2_K_S"));
        Assert.Equal((61 * 2) + 46, Needing("IQ3_XS")); // attn_q, attn_k and ffn_up in the middle
        Assert.Equal(0, Needing("IQ4_XS"));

        int Needing(string name)
        {
            Assert.True(GgufMix.TryParse(name, out GgufMix? mix));
            return MixPlanner.Decide(mix, MixOptions.None, shaped.Model, shaped.Tensors, false).Count(row => MixPlanner.NeedsImportance(mix, row));
        }
    }

    private static Dictionary<string, MixDecision> Rows(ShapedModel shaped, string name, MixOptions options)
    {
        Assert.True(GgufMix.TryParse(name, out GgufMix? mix));
        return MixPlanner.Decide(mix, options, shaped.Model, shaped.Tensors, hasImportance: false).ToDictionary(row => row.Tensor.Name);
    }

    // The golden file's form: name without layer -> type -> ranges of layers.
    private static SortedDictionary<string, string> Expected(JsonObject types)
    {
        SortedDictionary<string, string> all = new(StringComparer.Ordinal);
        foreach ((string name, JsonNode? ranges) in types)
        {
            foreach ((string type, JsonNode? layers) in ranges!.AsObject())
            {
                foreach (string range in ((string)layers!).Split(','))
                {
                    if (range == "all")
                    {
                        all.Add(name, type.ToUpperInvariant());
                        continue;
                    }

                    int[] ends = [.. range.Split('-').Select(end => int.Parse(end, CultureInfo.InvariantCulture))];
                    for (int layer = ends[0]; layer <= ends[^1]; layer++)
                    {
                        all.Add($"blk.{layer}.{name}", type.ToUpperInvariant());
                    }
                }
            }
        }

        return all;
    }

    private static SortedDictionary<string, string> Found(IEnumerable<MixDecision> decisions) =>
        new(decisions.Where(row => row.Type is not null).ToDictionary(row => row.Tensor.Name, row => row.Type!.Value.ToString()), StringComparer.Ordinal);

    private static long Bytes(MixDecision row) => row.Type is { } type ? row.Tensor.Elements / row.Tensor.Shape[^1] * GgmlFormats.Of(type).RowBytes(row.Tensor.Shape[^1]) : row.Tensor.Bytes;
}

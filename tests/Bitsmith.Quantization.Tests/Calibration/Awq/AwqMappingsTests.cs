using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Calibration.Awq;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Awq;

public sealed class AwqMappingsTests
{
    private const string Readers = "self_attn.q_proj, self_attn.k_proj, self_attn.v_proj";

    private static readonly string[] Experts = [.. Enumerable.Range(0, 8).Select(expert => $"experts.{expert}"), "shared_experts"];

    private static readonly string[] Fused = ["input_layernorm -> " + Readers, "self_attn.v_proj -> o_proj", "post_attention_layernorm -> mlp.gate_up_proj", "mlp.gate_up_proj -> down_proj"];

    private static readonly string[] Dense = [.. Fused[..2], "post_attention_layernorm -> mlp.gate_proj, mlp.up_proj", "mlp.up_proj -> down_proj"];

    private static readonly string[] Mixture =
    [
        .. Fused[..2],
        $"post_attention_layernorm -> mlp.gate, {string.Join(", ", Experts.Select(expert => $"mlp.{expert}.gate_proj, mlp.{expert}.up_proj"))}",
        .. Experts.Select(expert => $"mlp.{expert}.up_proj -> down_proj"),
    ];

    /// <summary>Model, prefix of names, leading layers with a dense MLP in two matrices, repeated heads.</summary>
    public static TheoryData<string, string, string[], string[], int> Architectures => new()
    {
        { "tiny-glm", "model.", Fused, Fused, 2 },
        { "tiny-glm4", "model.", Fused, Fused, 2 },
        { "tiny-glm4v", "model.language_model.", Fused, Fused, 2 },
        { "tiny-glm4-moe", "model.", Dense, Mixture, 4 },
        { "tiny-glm4-moe-qknorm", "model.", Dense, Mixture, 2 },
        { "tiny-glm4v-moe", "model.language_model.", Dense, Mixture, 2 },
    };

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Every_reader_of_a_norm_or_projection_is_in_its_mapping(string name, string prefix, string[] first, string[] last, int repeat)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        foreach ((int number, string[] expected) in ((int, string[])[])[(0, first), (model.Layers.Count - 1, last)])
        {
            IReadOnlyList<AwqMapping> mappings = AwqMappings.Of(model.Layers[number], model.Config.HeadDim);
            Assert.Equal(expected.Select(text => $"{prefix}layers.{number}.{text}"), mappings.Select(mapping => mapping.ToString()));
            Assert.Equal([1, repeat, .. Enumerable.Repeat(1, expected.Length - 2)], mappings.Select(mapping => mapping.Repeat));
            Assert.All(mappings, mapping => Assert.Equal((mapping.Norm?.Values.Length ?? mapping.Channels, mapping.Norm is null), (mapping.Channels, mapping.Projection is not null)));
            Assert.All(mappings, mapping => Assert.All(mapping.Balance, linear => Assert.Equal(mapping.Columns, linear.Weight.Columns)));
        }
    }

    [Fact]
    public void Heads_that_read_one_value_head_share_its_factors()
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", "tiny-glm4"));
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        AwqMapping values = AwqMappings.Of(model.Layers[0], model.Config.HeadDim)[1];
        float[] columns = values.ToColumns([.. Enumerable.Range(0, 64).Select(channel => (float)channel)]);
        Assert.Equal([.. Range(0), .. Range(0), .. Range(32), .. Range(32)], columns);
        Assert.Equal(Enumerable.Range(0, 64).Select(channel => (double)channel), values.OverHeads([.. columns.Select(value => (double)value)]));

        static IEnumerable<float> Range(int first) => Enumerable.Range(first, 32).Select(channel => (float)channel);
    }
}

using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;

namespace Bitsmith.Models.Architectures;

/// <summary>Builds the parts that architectures share, from the names of one prefix (<c>model.</c> or <c>model.language_model.</c>).</summary>
internal sealed class DecoderBuilder(DecoderConfig config, ModelWeights weights, string prefix, bool exactActivations)
{
    public DecoderConfig Config => config;

    public string Prefix => prefix;

    public RmsNorm Norm(string name, int? width = null) =>
        new(Vector($"{name}.weight", width ?? config.HiddenSize), config.RmsNormEps);

    public Linear Linear(string name, int outputs, int inputs, bool bias = false) => new(
        prefix + name,
        weights.Matrix(prefix + name, outputs, inputs),
        bias ? weights.Vector($"{prefix}{name}.bias", outputs) : [],
        exactActivations ? null : weights.InputScheme(prefix + name, inputs));

    public Attention Attention(int layer, RotaryPairing pairing)
    {
        string name = $"layers.{layer}.self_attn";
        (int query, int keyValue) = (config.NumAttentionHeads * config.HeadDim, config.NumKeyValueHeads * config.HeadDim);
        return new Attention(layer, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, pairing)
        {
            Query = Linear($"{name}.q_proj", query, config.HiddenSize, config.AttentionBias),
            Key = Linear($"{name}.k_proj", keyValue, config.HiddenSize, config.AttentionBias),
            Value = Linear($"{name}.v_proj", keyValue, config.HiddenSize, config.AttentionBias),
            Output = Linear($"{name}.o_proj", config.HiddenSize, query),
            QueryNorm = config.UseQkNorm ? Norm($"{name}.q_norm", config.HeadDim) : null,
            KeyNorm = config.UseQkNorm ? Norm($"{name}.k_norm", config.HeadDim) : null,
        };
    }

    public FusedMlp FusedMlp(int layer) => new(
        Linear($"layers.{layer}.mlp.gate_up_proj", 2 * config.IntermediateSize, config.HiddenSize),
        Linear($"layers.{layer}.mlp.down_proj", config.HiddenSize, config.IntermediateSize));

    public GatedMlp GatedMlp(string name, int width) => new(
        Linear($"{name}.gate_proj", width, config.HiddenSize),
        Linear($"{name}.up_proj", width, config.HiddenSize),
        Linear($"{name}.down_proj", config.HiddenSize, width));

    /// <summary>A dense MLP in the first layers, a mixture of experts behind them.</summary>
    public IMlp DenseOrExperts(int layer)
    {
        string name = $"layers.{layer}.mlp";
        MoeConfig moe = config.Moe!;
        return layer < moe.FirstKDenseReplace
            ? GatedMlp(name, config.IntermediateSize)
            : new MixtureOfExperts(
                layer,
                new Router(
                    Vector($"{name}.gate.weight", moe.NRoutedExperts, config.HiddenSize),
                    weights.Vector($"{prefix}{name}.gate.e_score_correction_bias", moe.NRoutedExperts),
                    moe),
                [.. Enumerable.Range(0, moe.NRoutedExperts).Select(expert => GatedMlp($"{name}.experts.{expert}", moe.MoeIntermediateSize))],
                GatedMlp($"{name}.shared_experts", moe.MoeIntermediateSize * moe.NSharedExperts),
                moe);
    }

    /// <summary>Two norms: before attention and before the MLP.</summary>
    public PreNormLayer PreNorm(int layer, Attention attention, IMlp mlp) => new(
        Norm($"layers.{layer}.input_layernorm"), attention, Norm($"layers.{layer}.post_attention_layernorm"), mlp);

    /// <summary>Four norms: before and behind attention and MLP.</summary>
    public SandwichLayer Sandwich(int layer, Attention attention, IMlp mlp) => new(
        Norm($"layers.{layer}.input_layernorm"),
        attention,
        Norm($"layers.{layer}.post_self_attn_layernorm"),
        Norm($"layers.{layer}.post_attention_layernorm"),
        mlp,
        Norm($"layers.{layer}.post_mlp_layernorm"));

    private LayerVector Vector(string name, params ReadOnlySpan<long> shape) => new(prefix + name, weights.Vector(prefix + name, shape));
}

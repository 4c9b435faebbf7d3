using Bitsmith.Models.Architectures;

namespace Bitsmith.Models.Weights;

/// <summary>A tensor of the language model under both names.</summary>
/// <param name="Gguf">llama.cpp's name, for example <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Parts">Hugging Face's names: one, or those of the experts whose matrices are stacked.</param>
/// <param name="Shape">Sizes in a GGUF file, outermost first: [width], [rows, columns] or [experts, rows, columns].</param>
/// <param name="RowOrder">Row i in a GGUF file is row RowOrder[i] of the checkpoint's tensor; null where the order is the same.</param>
/// <param name="IsOptional">Some checkpoints have it, others not.</param>
public sealed record MappedWeight(string Gguf, IReadOnlyList<string> Parts, IReadOnlyList<long> Shape, IReadOnlyList<int>? RowOrder, bool IsOptional);

/// <summary>
/// The names of a GLM language model's tensors in a Hugging Face checkpoint on one side, in a GGUF file on the other, in the order of the model.
/// </summary>
public sealed class WeightMap
{
    private readonly DecoderConfig config;
    private readonly string prefix;
    private readonly List<MappedWeight> weights = [];

    private WeightMap(DecoderConfig config, int mtpLayers)
    {
        this.config = config;
        prefix = PrefixOf(config);
        Matrix("token_embd", prefix + "embed_tokens", config.VocabSize, config.HiddenSize);
        Vector("output_norm.weight", prefix + "norm.weight", config.HiddenSize);
        if (!config.TieWordEmbeddings)
        {
            Matrix("output", "lm_head", config.VocabSize, config.HiddenSize);
        }

        for (int layer = 0; layer < config.NumHiddenLayers + mtpLayers; layer++)
        {
            (string from, string to) = ($"{prefix}layers.{layer}.", $"blk.{layer}.");
            Attention(from, to);
            Mlp(layer, from, to);
            if (layer >= config.NumHiddenLayers)
            {
                MultiTokenPrediction(from, to + "nextn.");
            }
        }
    }

    /// <summary>Lists the tensors.</summary>
    /// <param name="config">The model's numbers.</param>
    /// <param name="mtpLayers">Layers for multi-token prediction behind the ordinary ones.</param>
    public static IReadOnlyList<MappedWeight> Create(DecoderConfig config, int mtpLayers)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new WeightMap(config, mtpLayers).weights;
    }

    /// <summary>The checkpoint's tensor that shows that it holds the layers for multi-token prediction.</summary>
    public static string MtpMark(DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return $"{PrefixOf(config)}layers.{config.NumHiddenLayers}.eh_proj.weight";
    }

    private static string PrefixOf(DecoderConfig config) => config.MropeSection is null ? "model." : "model.language_model.";

    private void Attention(string from, string to)
    {
        int hidden = config.HiddenSize, query = config.NumAttentionHeads * config.HeadDim, keyValue = config.NumKeyValueHeads * config.HeadDim;
        Vector(to + "attn_norm.weight", from + "input_layernorm.weight", hidden);
        Projection("q", query, Order(config.NumAttentionHeads));
        Projection("k", keyValue, Order(config.NumKeyValueHeads));
        Projection("v", keyValue, null);
        Matrix(to + "attn_output", from + "self_attn.o_proj", hidden, query);
        if (config.UseQkNorm)
        {
            Vector(to + "attn_q_norm.weight", from + "self_attn.q_norm.weight", config.HeadDim);
            Vector(to + "attn_k_norm.weight", from + "self_attn.k_norm.weight", config.HeadDim);
        }

        void Projection(string name, int rows, int[]? order)
        {
            Matrix($"{to}attn_{name}", $"{from}self_attn.{name}_proj", rows, hidden, order);
            if (config.AttentionBias)
            {
                Vector($"{to}attn_{name}.bias", $"{from}self_attn.{name}_proj.bias", rows, order);
            }
        }
    }

    private void Mlp(int layer, string from, string to)
    {
        int hidden = config.HiddenSize;
        if (config.Moe is { } moe)
        {
            // No norm but this before the MLP: llama.cpp calls it after its place, not after its use.
            Vector(to + "post_attention_norm.weight", from + "post_attention_layernorm.weight", hidden);
            DenseOrExperts(layer, from + "mlp.", to, moe);
            return;
        }

        if (config.ModelType != "glm")
        {
            Vector(to + "post_attention_norm.weight", from + "post_self_attn_layernorm.weight", hidden);
            Vector(to + "post_ffw_norm.weight", from + "post_mlp_layernorm.weight", hidden);
        }

        Vector(to + "ffn_norm.weight", from + "post_attention_layernorm.weight", hidden);
        Matrix(to + "ffn_up", from + "mlp.gate_up_proj", 2 * config.IntermediateSize, hidden);
        Matrix(to + "ffn_down", from + "mlp.down_proj", hidden, config.IntermediateSize);
    }

    private void DenseOrExperts(int layer, string from, string to, MoeConfig moe)
    {
        if (layer < moe.FirstKDenseReplace)
        {
            Gated(to, string.Empty, [from], config.IntermediateSize);
            return;
        }

        Matrix(to + "ffn_gate_inp", from + "gate", moe.NRoutedExperts, config.HiddenSize);
        Vector(to + "exp_probs_b.bias", from + "gate.e_score_correction_bias", moe.NRoutedExperts);
        Gated(to, "_exps", [.. Enumerable.Range(0, moe.NRoutedExperts).Select(expert => $"{from}experts.{expert}.")], moe.MoeIntermediateSize);
        Gated(to, "_shexp", [$"{from}shared_experts."], moe.MoeIntermediateSize * moe.NSharedExperts);
    }

    /// <summary>Gate, up and down of one MLP, or of all experts as stacks.</summary>
    private void Gated(string to, string suffix, string[] from, int width)
    {
        Part("gate", width, config.HiddenSize);
        Part("up", width, config.HiddenSize);
        Part("down", config.HiddenSize, width);

        void Part(string name, int rows, int columns) => weights.Add(new MappedWeight(
            $"{to}ffn_{name}{suffix}.weight", [.. from.Select(module => $"{module}{name}_proj.weight")], suffix == "_exps" ? [from.Length, rows, columns] : [rows, columns], null, false));
    }

    private void MultiTokenPrediction(string from, string to)
    {
        Matrix(to + "eh_proj", from + "eh_proj", config.HiddenSize, 2 * config.HiddenSize);
        Vector(to + "enorm.weight", from + "enorm.weight", config.HiddenSize);
        Vector(to + "hnorm.weight", from + "hnorm.weight", config.HiddenSize);
        Matrix(to + "embed_tokens", from + "embed_tokens", config.VocabSize, config.HiddenSize, optional: true);
        Matrix(to + "shared_head_head", from + "shared_head.head", config.VocabSize, config.HiddenSize, optional: true);
        Vector(to + "shared_head_norm.weight", from + "shared_head.norm.weight", config.HiddenSize, optional: true);
    }

    /// <summary>
    /// The order of q and k rows. llama.cpp turns channel i with channel i + R/2 wherever there are three position axes; the dense vision models turn
    /// neighbours, whose rows are therefore moved apart: in each head the even ones of the first R, then the odd ones, then the rest.
    /// </summary>
    private int[]? Order(int heads)
    {
        if (config.MropeSection is null || config.Moe is not null)
        {
            return null;
        }

        (int width, int rotary) = (config.HeadDim, config.RotaryWidth);
        return [.. Enumerable.Range(0, heads * width).Select(row =>
        {
            (int head, int channel) = (row / width * width, row % width);
            return channel >= rotary ? row : head + (channel < rotary / 2 ? 2 * channel : (2 * channel) - rotary + 1);
        })];
    }

    private void Matrix(string name, string module, int rows, int columns, int[]? order = null, bool optional = false) =>
        weights.Add(new MappedWeight($"{name}.weight", [$"{module}.weight"], [rows, columns], order, optional));

    private void Vector(string name, string tensor, int length, int[]? order = null, bool optional = false) => weights.Add(new MappedWeight(name, [tensor], [length], order, optional));
}

using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Weights;

namespace Bitsmith.Quantization.Conversion;

/// <summary>A tensor to be written.</summary>
/// <param name="Info">Name, type and shape.</param>
/// <param name="Parts">What it is made of, one behind the other: more than one for stacked experts.</param>
internal sealed record GgufOutput(GgufTensorInfo Info, IReadOnlyList<TensorSource> Parts);

/// <summary>
/// The tensors of a GLM checkpoint under llama.cpp's names, in the order of the model. Everything that is asked of the checkpoint must be there with its
/// shape, and everything that is there must be asked for.
/// </summary>
internal sealed class GgufTensorList
{
    private readonly DecoderConfig config;
    private readonly ModelWeights weights;
    private readonly GgufTensorType type;
    private readonly string prefix;
    private readonly HashSet<string> used = new(StringComparer.Ordinal);
    private readonly List<GgufOutput> outputs = [];

    private GgufTensorList(DecoderConfig config, ModelWeights weights, GgufTensorType type, int mtpLayers)
    {
        (this.config, this.weights, this.type) = (config, weights, type);
        prefix = TextPrefix(config);
        Global();
        for (int layer = 0; layer < config.NumHiddenLayers + mtpLayers; layer++)
        {
            Layer(layer);
            if (layer >= config.NumHiddenLayers)
            {
                MultiTokenPrediction(layer);
            }
        }
    }

    /// <summary>Lists the tensors.</summary>
    /// <param name="config">The model's numbers.</param>
    /// <param name="weights">The checkpoint.</param>
    /// <param name="type">The type of matrices; norms, biases and routers are F32.</param>
    /// <param name="mtpLayers">Layers for multi-token prediction to write behind the ordinary ones.</param>
    /// <param name="leftOut">Receives the checkpoint's tensors that are not written: the vision tower, and a head that is tied to the embedding.</param>
    /// <exception cref="CheckpointException">A tensor is missing, has another shape, or has no place in the file.</exception>
    public static IReadOnlyList<GgufOutput> Create(DecoderConfig config, ModelWeights weights, GgufTensorType type, int mtpLayers, out IReadOnlyList<string> leftOut)
    {
        GgufTensorList list = new(config, weights, type, mtpLayers);
        string[] rest = [.. weights.Names.Where(name => !list.used.Contains(name)).Order(StringComparer.Ordinal)];
        bool vision = config.MropeSection is not null;
        string? homeless = rest.FirstOrDefault(name => !(vision && name.StartsWith("model.visual.", StringComparison.Ordinal)) && !(config.TieWordEmbeddings && name == "lm_head.weight"));
        leftOut = homeless is null
            ? rest
            : throw new CheckpointException(weights.Folder, $"tensor '{homeless}' has no place in a GGUF file of model_type '{config.ModelType}'. Writing the others would give a model that computes something else.");
        return list.outputs;
    }

    /// <summary>True where the checkpoint holds the layer behind the ordinary ones.</summary>
    public static bool HasMtp(DecoderConfig config, ModelWeights weights) => weights.Has($"{TextPrefix(config)}layers.{config.NumHiddenLayers}.eh_proj.weight");

    private static string TextPrefix(DecoderConfig config) => config.MropeSection is null ? "model." : "model.language_model.";

    private void Global()
    {
        Matrix("token_embd.weight", prefix + "embed_tokens", config.VocabSize, config.HiddenSize);
        Vector("output_norm.weight", prefix + "norm.weight", config.HiddenSize);
        if (!config.TieWordEmbeddings)
        {
            Matrix("output.weight", "lm_head", config.VocabSize, config.HiddenSize);
        }
    }

    private void Layer(int layer)
    {
        (string from, string to) = ($"{prefix}layers.{layer}.", $"blk.{layer}.");
        int hidden = config.HiddenSize, query = config.NumAttentionHeads * config.HeadDim, keyValue = config.NumKeyValueHeads * config.HeadDim;
        Vector(to + "attn_norm.weight", from + "input_layernorm.weight", hidden);
        Projection("q", query, Order(config.NumAttentionHeads));
        Projection("k", keyValue, Order(config.NumKeyValueHeads));
        Projection("v", keyValue, null);
        Matrix(to + "attn_output.weight", from + "self_attn.o_proj", hidden, query);
        if (config.UseQkNorm)
        {
            Vector(to + "attn_q_norm.weight", from + "self_attn.q_norm.weight", config.HeadDim);
            Vector(to + "attn_k_norm.weight", from + "self_attn.k_norm.weight", config.HeadDim);
        }

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
        Matrix(to + "ffn_up.weight", from + "mlp.gate_up_proj", 2 * config.IntermediateSize, hidden);
        Matrix(to + "ffn_down.weight", from + "mlp.down_proj", hidden, config.IntermediateSize);

        void Projection(string name, int rows, int[]? order)
        {
            Matrix($"{to}attn_{name}.weight", $"{from}self_attn.{name}_proj", rows, hidden, order);
            if (config.AttentionBias)
            {
                Vector($"{to}attn_{name}.bias", $"{from}self_attn.{name}_proj.bias", rows, order);
            }
        }
    }

    private void DenseOrExperts(int layer, string from, string to, MoeConfig moe)
    {
        if (layer < moe.FirstKDenseReplace)
        {
            Gated(to, string.Empty, [from], config.IntermediateSize);
            return;
        }

        Matrix(to + "ffn_gate_inp.weight", from + "gate", moe.NRoutedExperts, config.HiddenSize);
        Vector(to + "exp_probs_b.bias", from + "gate.e_score_correction_bias", moe.NRoutedExperts);
        Gated(to, "_exps", [.. Enumerable.Range(0, moe.NRoutedExperts).Select(expert => $"{from}experts.{expert}.")], moe.MoeIntermediateSize);
        Gated(to, "_shexp", [$"{from}shared_experts."], moe.MoeIntermediateSize * moe.NSharedExperts);
    }

    /// <summary>Gate, up and down of one MLP, or of all experts as stacks.</summary>
    private void Gated(string to, string suffix, string[] from, int width)
    {
        foreach ((string target, string source, int rows, int columns) in ((string, string, int, int)[])
            [("gate", "gate_proj", width, config.HiddenSize), ("up", "up_proj", width, config.HiddenSize), ("down", "down_proj", config.HiddenSize, width)])
        {
            TensorSource[] parts = [.. from.Select(module => Source(module + source, rows, columns, null))];
            long[] shape = suffix == "_exps" ? [parts.Length, rows, columns] : [rows, columns];
            Add($"{to}ffn_{target}{suffix}.weight", shape, parts);
        }
    }

    private void MultiTokenPrediction(int layer)
    {
        (string from, string to) = ($"{prefix}layers.{layer}.", $"blk.{layer}.nextn.");
        Matrix(to + "eh_proj.weight", from + "eh_proj", config.HiddenSize, 2 * config.HiddenSize);
        Vector(to + "enorm.weight", from + "enorm.weight", config.HiddenSize);
        Vector(to + "hnorm.weight", from + "hnorm.weight", config.HiddenSize);
        if (weights.Has(from + "embed_tokens.weight"))
        {
            Matrix(to + "embed_tokens.weight", from + "embed_tokens", config.VocabSize, config.HiddenSize);
        }

        if (weights.Has(from + "shared_head.head.weight"))
        {
            Matrix(to + "shared_head_head.weight", from + "shared_head.head", config.VocabSize, config.HiddenSize);
        }

        if (weights.Has(from + "shared_head.norm.weight"))
        {
            Vector(to + "shared_head_norm.weight", from + "shared_head.norm.weight", config.HiddenSize);
        }
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

    private void Matrix(string name, string module, int rows, int columns, int[]? order = null) => Add(name, [rows, columns], [Source(module, rows, columns, order)]);

    private MatrixSource Source(string module, int rows, int columns, int[]? order)
    {
        MatrixSource source = new($"{module}.weight", weights.Matrix(module, rows, columns), order);
        used.Add(source.Name);
        used.Add($"{module}.weight_scale");
        return source;
    }

    private void Vector(string name, string tensor, int length, int[]? order = null)
    {
        float[] values = weights.Vector(tensor, length);
        used.Add(tensor);
        Add(name, [length], [new VectorSource(tensor, order is null ? values : [.. order.Select(row => values[row])])]);
    }

    private void Add(string name, long[] shape, TensorSource[] parts)
    {
        bool keepsPrecision = shape.Length == 1 || name.EndsWith(".ffn_gate_inp.weight", StringComparison.Ordinal);
        outputs.Add(new GgufOutput(new GgufTensorInfo(name, keepsPrecision ? GgufTensorType.F32 : type, shape), parts));
    }
}

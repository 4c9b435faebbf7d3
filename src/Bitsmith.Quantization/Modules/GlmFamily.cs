using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Quantization.Modules;

/// <summary>What is known of the modules of GLM models: class names, kinds and the order in which transformers registers them.</summary>
internal static class GlmFamily
{
    // model_type in config.json → prefix of transformers' class names.
    private static readonly Dictionary<string, string> ClassPrefixes = new()
    {
        ["glm"] = "Glm",
        ["glm4"] = "Glm4",
        ["glm4_moe"] = "Glm4Moe",
        ["glm4v"] = "Glm4v",
        ["glm46v"] = "Glm4v",
        ["glm4v_moe"] = "Glm4vMoe",
    };

    // Registration order within a parent, read off transformers 5.12.1 (named_modules); what is not listed comes last, by name.
    private static readonly string[] Order =
    [
        "model", "visual", "language_model", "embeddings", "patch_embed", "embed_tokens", "blocks", "layers",
        "norm1", "norm2", "self_attn", "attn", "qkv", "q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm",
        "mlp", "experts", "gate", "shared_experts", "proj", "post_projection_norm", "gate_proj", "gate_up_proj", "up_proj", "down_proj",
        "input_layernorm", "post_attention_layernorm", "post_self_attn_layernorm", "post_mlp_layernorm",
        "enorm", "hnorm", "eh_proj", "shared_head", "merger", "post_conv_layernorm", "downsample", "post_layernorm", "norm", "head", "lm_head",
    ];

    private static readonly Dictionary<string, int> Ranks = Order.Select((name, rank) => (name, rank)).ToDictionary();

    /// <summary>The prefix of class names, for example <c>Glm4Moe</c>.</summary>
    /// <exception cref="CheckpointException">The model type is not of the family.</exception>
    public static string ClassPrefix(ModelConfig config, string path) =>
        ClassPrefixes.GetValueOrDefault(config.ModelType) ?? throw new CheckpointException(
            path, $"config.json: model_type '{config.ModelType}' is not supported. Supported are {string.Join(", ", ClassPrefixes.Keys.Order(StringComparer.Ordinal))}.");

    /// <summary>Kind and class name of a module that owns tensors.</summary>
    public static (ModuleKind Kind, string ClassName) Classify(string module, IReadOnlyList<TensorInfo> tensors, string classPrefix)
    {
        string last = module[(module.LastIndexOf('.') + 1)..];
        int dimensions = tensors.Max(tensor => tensor.Shape.Count);
        bool bias = tensors.Any(tensor => tensor.Name.EndsWith(".bias", StringComparison.Ordinal));
        return (last, dimensions) switch
        {
            ("experts", 3) => (ModuleKind.FusedExperts, classPrefix + "NaiveMoe"),
            (_, >= 5) => (ModuleKind.Convolution, "Conv3d"),
            (_, >= 3) => (ModuleKind.Convolution, "Conv2d"),
            ("embed_tokens" or "position_embedding", _) => (ModuleKind.Embedding, "Embedding"),
            ("gate", 2) => (ModuleKind.Router, classPrefix + "TopkRouter"),
            (_, 2) => (ModuleKind.Linear, "Linear"),
            _ => (ModuleKind.Norm, bias ? "LayerNorm" : classPrefix + "RMSNorm"),
        };
    }

    /// <summary>The part of the model that a module or tensor path belongs to.</summary>
    public static ModelPart PartOf(string path, ModelConfig config)
    {
        if (path.StartsWith("lm_head", StringComparison.Ordinal))
        {
            return ModelPart.Head;
        }

        if (path.StartsWith("model.visual.", StringComparison.Ordinal) || path == "model.visual")
        {
            return ModelPart.Vision;
        }

        return LayerIndex(path) is int layer && layer >= config.Layers ? ModelPart.Mtp : ModelPart.Decoder;
    }

    /// <summary>The decoder layer's index in a path, or null.</summary>
    public static int? LayerIndex(string path)
    {
        const string Marker = ".layers.";
        int start = path.IndexOf(Marker, StringComparison.Ordinal);
        if (start < 0)
        {
            return null;
        }

        ReadOnlySpan<char> rest = path.AsSpan(start + Marker.Length);
        int end = rest.IndexOf('.');
        return int.TryParse(end < 0 ? rest : rest[..end], out int index) ? index : null;
    }

    /// <summary>Orders module paths as transformers' <c>named_modules</c> does.</summary>
    public static int CompareRegistration(string left, string right)
    {
        string[] a = left.Split('.'), b = right.Split('.');
        for (int i = 0; i < Math.Min(a.Length, b.Length); i++)
        {
            if (a[i] == b[i])
            {
                continue;
            }

            if (int.TryParse(a[i], out int x) && int.TryParse(b[i], out int y))
            {
                return x.CompareTo(y);
            }

            int order = Ranks.GetValueOrDefault(a[i], int.MaxValue).CompareTo(Ranks.GetValueOrDefault(b[i], int.MaxValue));
            return order != 0 ? order : string.CompareOrdinal(a[i], b[i]);
        }

        return a.Length.CompareTo(b.Length);
    }
}

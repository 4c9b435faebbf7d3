using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;

namespace Bitsmith.Quantization.Conversion;

/// <summary>The numbers of a GLM model under llama.cpp's keys.</summary>
internal static class GgufHyperparameters
{
    /// <summary>llama.cpp's number of the generation of its block layouts.</summary>
    public const uint QuantizationVersion = 2;

    // llama.cpp's number of the way in which a router's logits become probabilities.
    private const uint Sigmoid = 2;

    private static readonly Dictionary<string, string> Architectures = new()
    {
        ["glm"] = "chatglm",
        ["glm4"] = "glm4",
        ["glm4v"] = "glm4",
        ["glm46v"] = "glm4",
        ["glm4_moe"] = "glm4moe",
        ["glm4v_moe"] = "glm4moe",
    };

    /// <summary>llama.cpp's name of an architecture.</summary>
    /// <exception cref="CheckpointException">The model is none that can be converted.</exception>
    public static string ArchitectureOf(string modelType, string path) => Architectures.GetValueOrDefault(modelType) ?? throw new CheckpointException(
        path, $"config.json: model_type '{modelType}' cannot be converted. Supported are {string.Join(", ", Architectures.Keys.Order(StringComparer.Ordinal))}.");

    /// <summary>Adds the keys.</summary>
    /// <param name="config">The model's numbers.</param>
    /// <param name="architecture">llama.cpp's name.</param>
    /// <param name="name">The model's name.</param>
    /// <param name="type">The type of matrices.</param>
    /// <param name="mtpLayers">Layers for multi-token prediction that the file holds.</param>
    /// <param name="metadata">Receives the pairs.</param>
    public static void AddTo(DecoderConfig config, string architecture, string name, GgufTensorType type, int mtpLayers, GgufMetadata metadata)
    {
        metadata.Add("general.architecture", architecture);
        metadata.Add("general.type", "model");
        metadata.Add("general.name", name);
        metadata.Add(GgufFileType.Key, GgufFileType.NumberOf(type.Name));
        metadata.Add("general.quantization_version", QuantizationVersion);
        Number("block_count", config.NumHiddenLayers + mtpLayers);
        Number("context_length", config.MaxPositionEmbeddings);
        Number("embedding_length", config.HiddenSize);
        Number("feed_forward_length", config.IntermediateSize);
        Number("attention.head_count", config.NumAttentionHeads);
        Number("attention.head_count_kv", config.NumKeyValueHeads);
        Number("attention.key_length", config.HeadDim);
        Number("attention.value_length", config.HeadDim);
        Add("attention.layer_norm_rms_epsilon", config.RmsNormEps);
        Add("rope.freq_base", config.RopeTheta);
        Number("rope.dimension_count", config.RotaryWidth);
        if (config.MropeSection is { } sections)
        {
            Add("rope.dimension_sections", (int[])[.. sections, 0]); // time, height, width, and a fourth that GLM does not have
        }

        Number("vocab_size", config.VocabSize);
        if (config.Moe is { } moe)
        {
            Number("expert_count", moe.NRoutedExperts);
            Number("expert_used_count", moe.NumExpertsPerTok);
            Number("expert_shared_count", moe.NSharedExperts);
            Number("expert_feed_forward_length", moe.MoeIntermediateSize);
            Number("leading_dense_block_count", moe.FirstKDenseReplace);
            if (moe.NGroup > 1)
            {
                Number("expert_group_count", moe.NGroup);
                Number("expert_group_used_count", moe.TopkGroup);
            }

            Add("expert_gating_func", Sigmoid);
            Add("expert_weights_scale", moe.RoutedScalingFactor);
            Add("expert_weights_norm", moe.NormTopkProb);
        }

        if (mtpLayers > 0)
        {
            Number("nextn_predict_layers", mtpLayers);
        }

        void Number(string key, int value) => Add(key, (uint)value);

        void Add(string key, object value) => metadata.Add($"{architecture}.{key}", value);
    }
}

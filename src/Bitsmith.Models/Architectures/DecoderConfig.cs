using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;

namespace Bitsmith.Models.Architectures;

/// <summary>The numbers of the language model, read from config.json (its <c>text_config</c> where there is one). Names are the file's, in PascalCase.</summary>
public sealed record DecoderConfig
{
    /// <summary><c>model_type</c> of the whole model.</summary>
    public required string ModelType { get; init; }

    /// <summary>V.</summary>
    public required int VocabSize { get; init; }

    /// <summary>D.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>F, the width of dense MLPs.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>L.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>H.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>K.</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>d.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Added to the mean square in norms.</summary>
    public required float RmsNormEps { get; init; }

    /// <summary>q, k and v have biases.</summary>
    public required bool AttentionBias { get; init; }

    /// <summary>q and k are normalized per head.</summary>
    public required bool UseQkNorm { get; init; }

    /// <summary>Longest context.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>The head is the embedding table.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>Base of the rotary frequencies.</summary>
    public required float RopeTheta { get; init; }

    /// <summary>R: channels of each head that rotate.</summary>
    public required int RotaryWidth { get; init; }

    /// <summary>How many frequencies follow the time, height and width position; null where there is one position.</summary>
    public IReadOnlyList<int>? MropeSection { get; init; }

    /// <summary>The mixture of experts; null for dense models.</summary>
    public MoeConfig? Moe { get; init; }

    /// <summary>Reads the numbers.</summary>
    /// <exception cref="CheckpointException">A number is missing or makes no sense; the message names the key.</exception>
    public static DecoderConfig Read(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        ConfigFields fields = new(config.TextModel, config.Text.Path);
        string type = config.ModelType;
        bool mixture = type is "glm4_moe" or "glm4v_moe";
        bool vision = type is "glm4v" or "glm46v" or "glm4v_moe";
        bool denseVision = vision && !mixture;
        int hidden = fields.Integer("hidden_size"), heads = fields.Integer("num_attention_heads");
        int headDim = denseVision ? hidden / heads : fields.Integer("head_dim", hidden / heads);
        RopeFields rope = RopeFields.Read(config.TextModel, fields, defaultFactor: denseVision ? 1.0 : 0.5);
        int rotaryWidth = (int)(headDim * rope.PartialRotaryFactor);
        fields.Require(rotaryWidth > 0 && rotaryWidth % 2 == 0, $"partial_rotary_factor {rope.PartialRotaryFactor} of head_dim {headDim} leaves {rotaryWidth} rotary channels, expected an even number");
        IReadOnlyList<int>? sections = vision ? rope.Sections ?? [8, 12, 12] : null;
        fields.Require(sections is null || (sections.Count == 3 && sections.Sum() == rotaryWidth / 2), $"mrope_section [{string.Join(", ", sections ?? [])}] must be three numbers that sum to {rotaryWidth / 2}, half the rotary width");
        return new DecoderConfig
        {
            ModelType = type,
            VocabSize = fields.Integer("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = fields.Integer("intermediate_size"),
            NumHiddenLayers = fields.Integer("num_hidden_layers"),
            NumAttentionHeads = heads,
            NumKeyValueHeads = fields.Integer("num_key_value_heads", heads),
            HeadDim = headDim,
            RmsNormEps = (float)fields.Number("rms_norm_eps", type is "glm" or "glm4" ? 1.5625e-7 : 1e-5),
            AttentionBias = denseVision || fields.Boolean("attention_bias", type is "glm" or "glm4v_moe"),
            UseQkNorm = mixture && !vision && fields.Boolean("use_qk_norm", false),
            MaxPositionEmbeddings = fields.Integer("max_position_embeddings", 131072),
            TieWordEmbeddings = config.Text.Get("tie_word_embeddings") is { ValueKind: JsonValueKind.True } || fields.Boolean("tie_word_embeddings", false),
            RopeTheta = (float)rope.Theta,
            RotaryWidth = rotaryWidth,
            MropeSection = sections,
            Moe = mixture ? MoeConfig.Read(fields) : null,
        };
    }

    /// <summary>
    /// The rotary settings. <c>rope_parameters</c> first, then keys that only <c>rope_scaling</c> has, then the top level, then the class default.
    /// </summary>
    private sealed record RopeFields(double Theta, double PartialRotaryFactor, IReadOnlyList<int>? Sections)
    {
        public static RopeFields Read(JsonElement text, ConfigFields fields, double defaultFactor)
        {
            JsonElement[] sources = [.. ((string[])["rope_parameters", "rope_scaling"])
                .Select(key => text.TryGetProperty(key, out JsonElement value) ? value : default)
                .Where(value => value.ValueKind == JsonValueKind.Object)
                .Append(text)];
            string? type = Find("rope_type")?.GetString() ?? Find("type")?.GetString();
            fields.Require(type is null or "default" or "mrope", $"rope type '{type}' is not supported; GLM models use 'default'");
            return new RopeFields(
                Find("rope_theta")?.GetDouble() ?? 10000,
                Find("partial_rotary_factor")?.GetDouble() ?? defaultFactor,
                Find("mrope_section") is { ValueKind: JsonValueKind.Array } list ? [.. list.EnumerateArray().Select(item => item.GetInt32())] : null);

            JsonElement? Find(string key)
            {
                foreach (JsonElement source in sources)
                {
                    if (source.TryGetProperty(key, out JsonElement value) && value.ValueKind is JsonValueKind.Number or JsonValueKind.String or JsonValueKind.Array)
                    {
                        return value;
                    }
                }

                return null;
            }
        }
    }
}

/// <summary>The numbers of a mixture of experts; names are config.json's.</summary>
/// <param name="NRoutedExperts">E.</param>
/// <param name="NumExpertsPerTok">Experts chosen for each token.</param>
/// <param name="NSharedExperts">Experts that every token passes, as one MLP of that many widths.</param>
/// <param name="MoeIntermediateSize">Width of an expert.</param>
/// <param name="FirstKDenseReplace">Layers before this one have a dense MLP.</param>
/// <param name="NGroup">Groups of experts.</param>
/// <param name="TopkGroup">Groups that stay in the choice.</param>
/// <param name="NormTopkProb">The weights of the chosen are scaled to sum to 1.</param>
/// <param name="RoutedScalingFactor">Factor on the weights.</param>
public sealed record MoeConfig(
    int NRoutedExperts, int NumExpertsPerTok, int NSharedExperts, int MoeIntermediateSize, int FirstKDenseReplace, int NGroup, int TopkGroup, bool NormTopkProb, float RoutedScalingFactor)
{
    internal static MoeConfig Read(ConfigFields fields)
    {
        MoeConfig config = new(
            fields.Integer("n_routed_experts"),
            fields.Integer("num_experts_per_tok"),
            fields.Integer("n_shared_experts", 1),
            fields.Integer("moe_intermediate_size"),
            fields.Integer("first_k_dense_replace", 1),
            fields.Integer("n_group", 1),
            fields.Integer("topk_group", 1),
            fields.Boolean("norm_topk_prob", true),
            (float)fields.Number("routed_scaling_factor", 1));
        fields.Require(
            config.NRoutedExperts % config.NGroup == 0 && config.TopkGroup <= config.NGroup && config.NumExpertsPerTok <= config.NRoutedExperts / config.NGroup * config.TopkGroup,
            $"n_routed_experts {config.NRoutedExperts}, n_group {config.NGroup}, topk_group {config.TopkGroup} and num_experts_per_tok {config.NumExpertsPerTok} do not fit together");
        return config;
    }
}

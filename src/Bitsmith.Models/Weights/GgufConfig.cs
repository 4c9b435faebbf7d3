using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Text;

namespace Bitsmith.Models.Weights;

/// <summary>The config.json that a GGUF file's metadata stand for. What llama.cpp takes for a key that is absent is taken here too.</summary>
internal sealed class GgufConfig
{
    // llama.cpp's number of the way in which a router's logits become probabilities.
    private const long Sigmoid = 2;

    private readonly GgufModel model;
    private readonly GgufMetadata metadata;
    private readonly string architecture, path;

    private GgufConfig(GgufModel model)
    {
        (this.model, metadata, path) = (model, model.Metadata, model.Files[0].Path);
        architecture = metadata.Text("general.architecture");
    }

    /// <summary>Reads the metadata.</summary>
    /// <param name="model">The language model.</param>
    /// <param name="tower">The vision tower, or null.</param>
    /// <exception cref="CheckpointException">A key is missing or has a value that cannot be run; the message names it.</exception>
    public static ModelConfig Read(GgufModel model, GgufModel? tower)
    {
        GgufConfig config = new(model);
        return ModelConfig.Create(JsonText.Parse(Encoding.UTF8.GetBytes(config.Root(tower).ToJsonString()), config.path));
    }

    private JsonObject Root(GgufModel? tower)
    {
        bool sections = Sections() is not null;
        string type = (architecture, sections) switch
        {
            ("chatglm", false) => "glm",
            ("glm4", false) => "glm4",
            ("glm4", true) => "glm4v",
            ("glm4moe", false) => "glm4_moe",
            ("glm4moe", true) => "glm4v_moe",
            ("clip", _) => throw new CheckpointException(path, "holds a vision tower. Name the language model's file, and this one with --mmproj."),
            _ => throw new CheckpointException(path, $"key 'general.architecture' is '{architecture}', which cannot be run. Supported are chatglm, glm4 and glm4moe."),
        };
        JsonObject text = TextModel(type), root = sections ? new JsonObject { ["text_config"] = text } : text;
        root["model_type"] = type;
        root["tie_word_embeddings"] = model.Find("output.weight") is null;
        if (tower is not null)
        {
            root["vision_config"] = sections
                ? VisionModel(tower, text["hidden_size"]!.GetValue<long>())
                : throw new CheckpointException(path, $"has no key '{architecture}.rope.dimension_sections': a text model, which no vision tower belongs to. Leave out {tower.Files[0].Path}.");
            IReadOnlyList<string> tokens = metadata.Items<string>(GgufTokenizer.TokensKey);
            Token("image_token_id", VisionPlaceholders.Image);
            Token("image_start_token_id", VisionPlaceholders.BeginOfImage);
            Token("image_end_token_id", VisionPlaceholders.EndOfImage);
            Token("video_token_id", VisionPlaceholders.Video);
            Token("video_start_token_id", VisionPlaceholders.BeginOfVideo);
            Token("video_end_token_id", VisionPlaceholders.EndOfVideo);

            void Token(string key, string token)
            {
                for (int id = 0; id < tokens.Count; id++)
                {
                    if (tokens[id] == token)
                    {
                        root[key] = id;
                    }
                }
            }
        }

        return root;
    }

    private JsonObject TextModel(string type)
    {
        long blocks = Integer("block_count"), mtpLayers = Integer("nextn_predict_layers", 0);
        long hidden = Integer("embedding_length"), heads = Integer("attention.head_count");
        Require(heads > 0 && mtpLayers >= 0 && mtpLayers < blocks, $"block_count {blocks}, nextn_predict_layers {mtpLayers} and attention.head_count {heads} do not fit together");
        long width = Integer("attention.key_length", hidden / heads), rotary = Integer("rope.dimension_count", width);
        Require(width > 0 && rotary is > 0 && rotary <= width, $"attention.key_length {width} and rope.dimension_count {rotary} do not fit together");
        Require(Integer("attention.value_length", width) == width, "attention.value_length differs from attention.key_length");
        Require(type != "glm4v" || width == hidden / heads, $"attention.key_length {width} is not embedding_length / attention.head_count, as it is in all models with this rope");
        string? scaling = metadata.Find($"{architecture}.rope.scaling.type")?.Content as string;
        Require(scaling is null or "none" || (scaling == "linear" && metadata.Number($"{architecture}.rope.scaling.factor", 1) == 1), $"rope.scaling.type is '{scaling}', which cannot be run; GLM models have none");
        JsonObject text = new()
        {
            ["vocab_size"] = model.Find("token_embd.weight") is { Tensor.Shape: [long rows, _] } ? rows : throw new CheckpointException(path, "has no matrix 'token_embd.weight': it holds no language model."),
            ["hidden_size"] = hidden,
            ["intermediate_size"] = Integer("feed_forward_length"),
            ["num_hidden_layers"] = blocks - mtpLayers,
            ["num_nextn_predict_layers"] = mtpLayers,
            ["num_attention_heads"] = heads,
            ["num_key_value_heads"] = Integer("attention.head_count_kv", heads),
            ["head_dim"] = width,
            ["rms_norm_eps"] = Number("attention.layer_norm_rms_epsilon"),
            ["attention_bias"] = (model.Find("blk.0.attn_q.bias") ?? model.Find("blk.0.attn_qkv.bias")) is not null,
            ["use_qk_norm"] = model.Find("blk.0.attn_q_norm.weight") is not null,
            ["max_position_embeddings"] = Integer("context_length"),
            ["rope_parameters"] = new JsonObject
            {
                ["rope_type"] = "default",
                ["rope_theta"] = Number("rope.freq_base", 10000),
                ["partial_rotary_factor"] = Share(rotary, width),
                ["mrope_section"] = Sections() is { } sections ? new JsonArray([.. sections.Take(3).Select(count => JsonValue.Create(count))]) : null,
            },
        };
        if (architecture == "glm4moe")
        {
            AddExperts(text);
        }

        return text;
    }

    private void AddExperts(JsonObject text)
    {
        long gating = Integer("expert_gating_func", Sigmoid);
        Require(gating == Sigmoid, $"expert_gating_func is {gating}, expected {Sigmoid}, sigmoid, as in all GLM models");
        double scale = Number("expert_weights_scale", 0);
        text["n_routed_experts"] = Integer("expert_count");
        text["num_experts_per_tok"] = Integer("expert_used_count");
        text["n_shared_experts"] = Integer("expert_shared_count", 1);
        text["moe_intermediate_size"] = Integer("expert_feed_forward_length");
        text["first_k_dense_replace"] = Integer("leading_dense_block_count", 0);
        text["n_group"] = Integer("expert_group_count", 1);
        text["topk_group"] = Integer("expert_group_used_count", 1);
        text["norm_topk_prob"] = metadata.Flag($"{architecture}.expert_weights_norm", false);
        text["routed_scaling_factor"] = scale == 0 ? 1 : scale;
    }

    private static JsonObject VisionModel(GgufModel tower, long hidden)
    {
        (GgufMetadata metadata, string path) = (tower.Metadata, tower.Files[0].Path);
        (string? architecture, string? projector) = (metadata.Find("general.architecture")?.Content as string, metadata.Find("clip.projector_type")?.Content as string);
        long output = metadata.Integer("clip.vision.projection_dim", 0);
        return architecture == "clip" && projector == "glm4v" && output == hidden
            ? new JsonObject
            {
                ["depth"] = Vision("block_count"),
                ["hidden_size"] = Vision("embedding_length"),
                ["num_heads"] = Vision("attention.head_count"),
                ["in_channels"] = 3,
                ["patch_size"] = Vision("patch_size"),
                ["temporal_patch_size"] = 2,
                ["image_size"] = Vision("image_size"),
                ["spatial_merge_size"] = Vision("spatial_merge_size", 2),
                ["out_hidden_size"] = output,
                ["intermediate_size"] = Vision("feed_forward_length"),
                ["rms_norm_eps"] = metadata.Number("clip.vision.attention.layer_norm_epsilon"),
                ["hidden_act"] = "silu",
            }
            : throw new CheckpointException(
                path, $"general.architecture '{architecture}', clip.projector_type '{projector}', clip.vision.projection_dim {output}; expected clip, glm4v and {hidden}, the language model's embedding_length. The file belongs to another model.");

        long Vision(string key, long? fallback = null) => metadata.Integer($"clip.vision.{key}", fallback);
    }

    /// <summary>How many frequencies follow each position axis; null where there is one axis.</summary>
    private IReadOnlyList<int>? Sections()
    {
        string key = $"{architecture}.rope.dimension_sections";
        if (metadata.Find(key) is not { } value || metadata.Items<int>(key, 4) is not [> 0, > 0, _, int fourth] sections)
        {
            return null;
        }

        Require(fourth == 0, $"rope.dimension_sections is {value}, expected a fourth number of 0: time, height and width are all axes that GLM models have");
        return sections;
    }

    // config.json states the rotary width as a share of the head's, which is multiplied and cut off again.
    private static double Share(long rotary, long width)
    {
        double share = rotary / (double)width;
        return (long)(width * share) == rotary ? share : Math.BitIncrement(share);
    }

    private long Integer(string key, long? fallback = null) => metadata.Integer($"{architecture}.{key}", fallback);

    private double Number(string key, double? fallback = null) => metadata.Number($"{architecture}.{key}", fallback);

    private void Require(bool condition, string problem)
    {
        if (!condition)
        {
            throw new CheckpointException(path, $"{architecture}: {problem}.");
        }
    }
}

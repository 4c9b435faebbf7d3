using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.HuggingFace;

namespace Bitsmith.Synthesize;

/// <summary>The files beside the weights, as small as the packaging checks allow: config, generation, tokenizer and picture settings.</summary>
internal static class SideFileWriter
{
    // For lists whose config leaves the class out.
    private static readonly Dictionary<string, string> Architectures = new()
    {
        ["glm"] = "GlmForCausalLM",
        ["glm4"] = "Glm4ForCausalLM",
        ["glm4_moe"] = "Glm4MoeForCausalLM",
        ["glm4v"] = "Glm4vForConditionalGeneration",
        ["glm46v"] = "Glm46VForConditionalGeneration",
        ["glm4v_moe"] = "Glm4vMoeForConditionalGeneration",
    };

    public static void Write(string folder, TensorList list)
    {
        JsonObject config = JsonNode.Parse(list.Config.GetRawText())!.AsObject();
        if (config["architectures"] is null && config["model_type"]?.GetValue<string>() is { } type && Architectures.TryGetValue(type, out string? name))
        {
            config["architectures"] = new JsonArray(name);
        }

        config["dtype"] ??= "bfloat16";
        Save(folder, "generation_config.json", new JsonObject { ["do_sample"] = true, ["temperature"] = 0.8, ["top_p"] = 0.95 });
        Save(folder, "tokenizer_config.json", new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["model_max_length"] = 131072,
            ["model_input_names"] = new JsonArray("input_ids", "attention_mask"),
        });
        if (config["vision_config"] is not null)
        {
            Save(folder, "preprocessor_config.json", new JsonObject
            {
                ["image_processor_type"] = "Glm46VImageProcessor",
                ["processor_class"] = "Glm46VProcessor",
                ["patch_size"] = 14,
                ["temporal_patch_size"] = 2,
                ["merge_size"] = 2,
            });
        }

        // Last: a folder without config.json is no checkpoint, so one that was cut short cannot pass for whole.
        Save(folder, ModelConfig.FileName, config);
    }

    private static void Save(string folder, string name, JsonObject content) =>
        File.WriteAllText(Path.Combine(folder, name), content.ToJsonString(new() { WriteIndented = true, NewLine = "\n" }) + "\n");
}

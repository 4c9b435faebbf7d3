using System.Text.Json;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Checkpoints.HuggingFace;

/// <summary>What config.json says about the model, as far as it decides which tensors are what.</summary>
public sealed class ModelConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    private ModelConfig(JsonText text)
    {
        Text = text;
        ModelType = Optional(text.Root, "model_type", JsonValueKind.String)?.GetString()
            ?? throw new CheckpointException(FileName, "has no 'model_type'. Bitsmith needs it to know the model's parts.");
        Architectures = [.. Optional(text.Root, "architectures", JsonValueKind.Array)?.EnumerateArray()
            .Where(name => name.ValueKind == JsonValueKind.String).Select(name => name.GetString()!) ?? []];
        TextModel = Optional(text.Root, "text_config", JsonValueKind.Object) ?? text.Root;
        VisionModel = Optional(text.Root, "vision_config", JsonValueKind.Object);
        Layers = Integer("num_hidden_layers");
        MtpLayers = Integer("num_nextn_predict_layers") ?? 0;
    }

    /// <summary>The whole file.</summary>
    public JsonText Text { get; }

    /// <summary><c>model_type</c>, for example <c>glm4_moe</c>.</summary>
    public string ModelType { get; }

    /// <summary><c>architectures</c>; may be empty.</summary>
    public IReadOnlyList<string> Architectures { get; }

    /// <summary><c>text_config</c>, or the root where the model is text only.</summary>
    public JsonElement TextModel { get; }

    /// <summary><c>vision_config</c>, or null.</summary>
    public JsonElement? VisionModel { get; }

    /// <summary><c>num_hidden_layers</c> of the language model, or null.</summary>
    public int? Layers { get; }

    /// <summary><c>num_nextn_predict_layers</c>: decoder layers for multi-token prediction that follow the ordinary ones.</summary>
    public int MtpLayers { get; }

    /// <summary>True where the file has a <c>quantization_config</c> that is not null.</summary>
    public bool IsQuantized => Optional(Text.Root, "quantization_config", JsonValueKind.Object) is not null;

    /// <summary>Reads config.json.</summary>
    /// <exception cref="CheckpointException">The file is missing or unusable.</exception>
    public static ModelConfig Load(string path) => Create(JsonText.Load(path));

    /// <summary>Reads the fields of a parsed config.json.</summary>
    /// <exception cref="CheckpointException"><c>model_type</c> is missing.</exception>
    public static ModelConfig Create(JsonText text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new ModelConfig(text);
    }

    /// <summary>A whole number of the language model's part, or null.</summary>
    public int? Integer(string key) =>
        Optional(TextModel, key, JsonValueKind.Number) is { } value && value.TryGetInt32(out int number) ? number : null;

    private static JsonElement? Optional(JsonElement parent, string key, JsonValueKind kind) =>
        parent.TryGetProperty(key, out JsonElement value) && value.ValueKind == kind ? value : null;
}

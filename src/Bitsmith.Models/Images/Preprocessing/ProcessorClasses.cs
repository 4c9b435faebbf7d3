using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>The two generations of processors; they differ in which frames of a video they take, and in how they write times into the prompt.</summary>
public enum ProcessorFamily
{
    /// <summary>GLM-4.6V: Glm46VProcessor writes <c>1.5 seconds</c>.</summary>
    Glm46V,

    /// <summary>GLM-4.1V and GLM-4.5V: Glm4vProcessor writes <c>1</c>, whole seconds rounded down.</summary>
    Glm4V,
}

/// <summary>Which processors a model folder asks for, as AutoProcessor and AutoVideoProcessor of transformers find them.</summary>
/// <param name="Prompt">Writes times into the prompt: <c>processor_class</c>.</param>
/// <param name="Video">Chooses frames: <c>video_processor_type</c>.</param>
public sealed record ProcessorClasses(ProcessorFamily Prompt, ProcessorFamily Video)
{
    private const string Both = "processor_config.json", Images = "preprocessor_config.json", Videos = "video_preprocessor_config.json";

    /// <summary>
    /// Reads the names. <c>processor_class</c> is looked for in processor_config.json, preprocessor_config.json, tokenizer_config.json and config.json; <c>video_processor_type</c> where the settings
    /// for videos are, and failing that it follows <c>image_processor_type</c> there. Without a name <c>model_type</c> decides.
    /// </summary>
    /// <exception cref="CheckpointException">A file is broken, or names another processor.</exception>
    public static ProcessorClasses Load(string folder, ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        ProcessorFamily byModel = config.ModelType == "glm46v" ? ProcessorFamily.Glm46V : ProcessorFamily.Glm4V;
        ProcessorFamily? prompt = null;
        foreach (string name in (string[])[Both, Images, "tokenizer_config.json", ModelConfig.FileName])
        {
            prompt ??= Family(Load(folder, name), Path.Combine(folder, name), "processor_class");
        }

        string file = Load(folder, Both)?.Get("video_processor") is { ValueKind: JsonValueKind.Object } ? Both : File.Exists(Path.Combine(folder, Videos)) ? Videos : Images;
        string[] parents = file == Both ? ["video_processor"] : [];
        JsonText? settings = Load(folder, file);
        string path = Path.Combine(folder, file);
        ProcessorFamily? video = Family(settings, path, [.. parents, "video_processor_type"]) ?? Family(settings, path, [.. parents, "image_processor_type"]);
        return new ProcessorClasses(prompt ?? byModel, video ?? byModel);
    }

    private static JsonText? Load(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? JsonText.Load(path) : null;
    }

    private static ProcessorFamily? Family(JsonText? json, string path, params string[] keys)
    {
        if (json?.Get(keys) is not { ValueKind: JsonValueKind.String } value)
        {
            return null;
        }

        string name = value.GetString()!;
        return name.StartsWith("Glm46V", StringComparison.Ordinal) ? ProcessorFamily.Glm46V
            : name.StartsWith("Glm4v", StringComparison.Ordinal) ? ProcessorFamily.Glm4V
            : throw new CheckpointException(path, $"{string.Join('.', keys)} is '{name}', expected one of the Glm4v and Glm46V processors.");
    }
}

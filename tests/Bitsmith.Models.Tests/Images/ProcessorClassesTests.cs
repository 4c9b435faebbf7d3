using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Models.Images.Preprocessing;

namespace Bitsmith.Models.Tests.Images;

/// <summary>The choice of processors, against what AutoProcessor of transformers 5.12.1 chose for the same files.</summary>
public sealed class ProcessorClassesTests
{
    [Fact]
    public void The_processors_are_those_that_transformers_chooses()
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(PictureFixtures.Golden("videos.json")));
        JsonElement[] choices = [.. golden.RootElement.GetProperty("choices").EnumerateArray()];
        foreach (JsonElement choice in choices)
        {
            using Folder folder = new(Text(choice, "model_type")!);
            folder.Write("preprocessor_config.json", ("processor_class", Text(choice, "processor_class")), ("image_processor_type", Text(choice, "image_processor_type")));
            if (Text(choice, "video_processor_type") is not "absent" and var video)
            {
                folder.Write("video_preprocessor_config.json", ("video_processor_type", video));
            }

            Assert.Equal((choice.GetRawText(), Family(choice, "processor"), Family(choice, "video_processor")), (choice.GetRawText(), folder.Load().Prompt, folder.Load().Video));
        }

        Assert.Equal(48, choices.Length);
    }

    [Fact]
    public void Nested_settings_come_first_and_other_files_only_where_they_are_silent()
    {
        using Folder folder = new("glm4v");
        folder.Write("preprocessor_config.json", ("image_processor_type", "Glm4vImageProcessor"));
        folder.Write("tokenizer_config.json", ("processor_class", "Glm46VProcessor"));
        Assert.Equal(new ProcessorClasses(ProcessorFamily.Glm46V, ProcessorFamily.Glm4V), folder.Load());

        folder.Write("processor_config.json", ("processor_class", "Glm4vProcessor"), ("video_processor", new JsonObject { ["video_processor_type"] = "Glm46VVideoProcessor" }));
        Assert.Equal(new ProcessorClasses(ProcessorFamily.Glm4V, ProcessorFamily.Glm46V), folder.Load());
    }

    [Fact]
    public void Another_models_processor_is_refused_by_name()
    {
        using Folder folder = new("glm4v");
        folder.Write("preprocessor_config.json", ("processor_class", "Qwen2VLProcessor"));

        Assert.Contains("Qwen2VLProcessor", Assert.Throws<CheckpointException>(() => folder.Load()).Message, StringComparison.Ordinal);
    }

    private static string? Text(JsonElement choice, string key) => choice.GetProperty(key).GetString();

    private static ProcessorFamily Family(JsonElement choice, string key) => Text(choice, key)!.StartsWith("Glm46V", StringComparison.Ordinal) ? ProcessorFamily.Glm46V : ProcessorFamily.Glm4V;

    private sealed class Folder : IDisposable
    {
        private readonly string path = Directory.CreateTempSubdirectory("bitsmith-processor-").FullName;

        public Folder(string modelType) => Write("config.json", ("model_type", modelType), ("architectures", new JsonArray("Glm4vForConditionalGeneration")));

        public void Write(string name, params (string Key, JsonNode? Value)[] entries) => File.WriteAllText(
            Path.Combine(path, name), new JsonObject(entries.Where(entry => entry.Value is not null).Select(entry => KeyValuePair.Create(entry.Key, entry.Value))).ToJsonString());

        public ProcessorClasses Load() => ProcessorClasses.Load(path, ModelConfig.Load(Path.Combine(path, ModelConfig.FileName)));

        public void Dispose() => Directory.Delete(path, recursive: true);
    }
}

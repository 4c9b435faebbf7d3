using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.HuggingFace;

namespace Bitsmith.Checkpoints.Tests.Support;

/// <summary>A small Hugging Face folder to take apart.</summary>
internal sealed class ModelFolder : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public ModelFolder(bool config = true)
    {
        if (config)
        {
            Write("config.json", """{"model_type":"glm4","architectures":["Glm4ForCausalLM"],"num_hidden_layers":1}""");
        }
    }

    public string Path => folder.Path;

    /// <summary>One weight file without an index.</summary>
    public static ModelFolder Single(string name = "model.safetensors")
    {
        ModelFolder model = new();
        model.Write(name, Weights.Named("a", "b"));
        return model;
    }

    /// <summary>Two shards and an index.</summary>
    public static ModelFolder Sharded()
    {
        ModelFolder model = new();
        model.Write("model-00001-of-00002.safetensors", Weights.Named("a", "b"));
        model.Write("model-00002-of-00002.safetensors", Weights.Named("c"));
        model.WriteIndex(("a", "model-00001-of-00002.safetensors"), ("b", "model-00001-of-00002.safetensors"), ("c", "model-00002-of-00002.safetensors"));
        return model;
    }

    public string Write(string name, string content) => folder.Write(name, content);

    public string Write(string name, byte[] content) => folder.Write(name, content);

    public void WriteIndex(params (string Tensor, string File)[] places) =>
        Write("model.safetensors.index.json", new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_size"] = 12 },
            ["weight_map"] = new JsonObject(places.Select(place => KeyValuePair.Create(place.Tensor, (JsonNode?)JsonValue.Create(place.File)))),
        }.ToJsonString());

    public void Delete(string name) => File.Delete(folder.File(name));

    /// <summary>The folder cannot be opened; the message names the file or folder and the findings.</summary>
    public void Refused(string file, params string[] findings)
    {
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(Path).Dispose());
        Assert.Contains(file, refusal.Message, StringComparison.Ordinal);
        foreach (string finding in findings)
        {
            Assert.Contains(finding, refusal.Message, StringComparison.Ordinal);
        }
    }

    public void Dispose() => folder.Dispose();
}

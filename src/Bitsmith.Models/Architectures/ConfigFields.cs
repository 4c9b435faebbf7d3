using System.Text.Json;
using Bitsmith.Checkpoints;

namespace Bitsmith.Models.Architectures;

/// <summary>Typed access to a JSON object; what is missing without a default is an error that names the key.</summary>
internal sealed class ConfigFields(JsonElement parent, string path)
{
    public int Integer(string key, int? fallback = null)
    {
        JsonElement? value = Find(key, JsonValueKind.Number);
        int number = value is null ? fallback ?? throw Missing(key) : value.Value.TryGetInt32(out int read) ? read : throw Wrong(key, value.Value);
        return number > 0 ? number : throw new CheckpointException(path, $"{key} is {number}; expected a number above 0.");
    }

    public double Number(string key, double fallback) => Find(key, JsonValueKind.Number)?.GetDouble() ?? fallback;

    public bool Boolean(string key, bool fallback) => !parent.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null
        ? fallback
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, value);

    public void Require(bool condition, string problem)
    {
        if (!condition)
        {
            throw new CheckpointException(path, $"{problem}.");
        }
    }

    private JsonElement? Find(string key, JsonValueKind kind) => !parent.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null
        ? null
        : value.ValueKind == kind ? value : throw Wrong(key, value);

    private CheckpointException Missing(string key) => new(path, $"has no '{key}'. Without it the model cannot be run.");

    private CheckpointException Wrong(string key, JsonElement value) => new(path, $"{key} is {value.GetRawText()}, which is no value it can have.");
}

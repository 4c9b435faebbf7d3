using System.Text.Json;
using System.Text.Json.Nodes;

namespace Bitsmith.Models.Generation;

/// <summary>Messages in the form that chat templates take.</summary>
public static class Conversation
{
    /// <summary>A user's message: pictures first, then videos, then the text.</summary>
    /// <param name="text">What the user says.</param>
    /// <param name="pictures">How many pictures belong to it.</param>
    /// <param name="videos">How many videos belong to it.</param>
    public static JsonObject UserMessage(string text, int pictures, int videos = 0) => Message("user", pictures + videos == 0
        ? JsonValue.Create(text)
        : new JsonArray(
        [
            .. Enumerable.Range(0, pictures).Select(JsonNode (_) => new JsonObject { ["type"] = "image" }),
            .. Enumerable.Range(0, videos).Select(JsonNode (_) => new JsonObject { ["type"] = "video" }),
            new JsonObject { ["type"] = "text", ["text"] = text },
        ]));

    /// <summary>The model's answer.</summary>
    public static JsonObject AssistantMessage(string text) => Message("assistant", JsonValue.Create(text));

    /// <summary>A conversation of these messages.</summary>
    public static JsonElement Of(params IEnumerable<JsonObject> messages)
    {
        JsonArray array = new([.. messages.Select(JsonNode (message) => message.DeepClone())]);
        using JsonDocument document = JsonDocument.Parse(array.ToJsonString());
        return document.RootElement.Clone();
    }

    private static JsonObject Message(string role, JsonNode content) => new() { ["role"] = role, ["content"] = content };
}

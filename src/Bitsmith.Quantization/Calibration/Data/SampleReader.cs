using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Models.Text;
using Bitsmith.Models.Text.Templates;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>
/// Makes tokens of the rows of data sets. Conversations are rendered by the model's template without a prompt for an answer, as transformers does with <c>apply_chat_template(tokenize=False)</c>; the names of
/// special tokens in a text stand for these tokens, and none is added.
/// </summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="template">The model's template.</param>
/// <param name="vocabulary">Rows of the model's embedding.</param>
/// <param name="field">The column to take; null for the first of <see cref="Fields"/>.</param>
internal sealed class SampleReader(Tokenizer tokenizer, ChatTemplate template, int vocabulary, string? field)
{
    private static readonly string[] Fields = ["messages", "conversations", "input_ids", "text"];

    // Values of "from" in published data sets of ShareGPT's form, and the roles that chat templates know.
    private static readonly Dictionary<string, string> Speakers = new(StringComparer.OrdinalIgnoreCase)
    {
        ["system"] = "system", ["human"] = "user", ["user"] = "user", ["gpt"] = "assistant", ["assistant"] = "assistant", ["chatgpt"] = "assistant", ["model"] = "assistant", ["bot"] = "assistant",
        ["tool"] = "tool", ["observation"] = "tool",
    };

    /// <summary>The tokens of a text.</summary>
    public int[] Encode(string text) => tokenizer.Encode(text);

    /// <summary>The tokens of a row.</summary>
    /// <exception cref="CheckpointException">The row holds nothing of use, or what the template refuses.</exception>
    public int[] Encode(string path, DatasetRow row)
    {
        string name = field ?? Array.Find(Fields, name => row.Value.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null)
            ?? throw Broken(path, row, $"has none of {string.Join(", ", Fields)}; it has {string.Join(", ", row.Value.EnumerateObject().Select(pair => $"'{pair.Name}'").Take(20))}. Name the column that holds the sample");
        JsonElement value = row.Value.TryGetProperty(name, out JsonElement found) ? found : throw Broken(path, row, $"has no '{name}'");
        try
        {
            return value.ValueKind switch
            {
                JsonValueKind.String => tokenizer.Encode(value.GetString()!),
                JsonValueKind.Array when value.GetArrayLength() == 0 => [],
                JsonValueKind.Array when value[0].ValueKind == JsonValueKind.Number => [.. value.EnumerateArray().Select(id => Id(path, row, name, id))],
                JsonValueKind.Array when value[0].ValueKind == JsonValueKind.Object => tokenizer.Encode(Render(path, row, value)),
                _ => throw Broken(path, row, $"'{name}' is a JSON {value.ValueKind}, expected a text, an array of messages or an array of token ids"),
            };
        }
        catch (InvalidOperationException problem)
        {
            throw new CheckpointException(path, $"{row.Place}: '{name}' holds a text with half of a surrogate pair, or values of several kinds.", problem);
        }
    }

    private static CheckpointException Broken(string path, DatasetRow row, string problem) => new(path, $"{row.Place}: {problem}.");

    private int Id(string path, DatasetRow row, string name, JsonElement value) => value.TryGetInt32(out int id) && id >= 0 && id < vocabulary
        ? id
        : throw Broken(path, row, $"'{name}' holds {value.GetRawText()}, which is no token of the model: ids are below {vocabulary}. The data were made with another tokenizer");

    private string Render(string path, DatasetRow row, JsonElement messages)
    {
        if (messages[0].TryGetProperty("from", out _))
        {
            messages = JsonSerializer.SerializeToElement([.. messages.EnumerateArray().Select(message => Turn(path, row, message))], SampleJson.Default.ChatTurnArray);
        }

        foreach (JsonElement message in messages.EnumerateArray())
        {
            RequireText(path, row, message);
        }

        try
        {
            return template.RenderChat(messages, Tools(path, row), addGenerationPrompt: false);
        }
        catch (Exception problem) when (problem is TemplateException or ArgumentException)
        {
            throw new CheckpointException(path, $"{row.Place}: the model's chat template does not render it: {problem.Message}", problem);
        }
    }

    private static ChatTurn Turn(string path, DatasetRow row, JsonElement message)
    {
        string from = Text("from");
        return Speakers.TryGetValue(from, out string? role)
            ? new ChatTurn(role, Text("value"))
            : throw Broken(path, row, $"a message is from '{from}'; known are {string.Join(", ", Speakers.Keys)}");

        string Text(string name) => message.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw Broken(path, row, $"a message has no text '{name}'");
    }

    /// <summary>Pictures and videos would be run as bare placeholders, which the model never sees.</summary>
    private static void RequireText(string path, DatasetRow row, JsonElement message)
    {
        if (message.TryGetProperty("content", out JsonElement content) && content.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement part in content.EnumerateArray())
            {
                if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out JsonElement type) && type.GetString() is not "text")
                {
                    throw Broken(path, row, $"a message has a part of type '{type.GetString()}'; the language model is calibrated on text alone. Leave such rows out");
                }
            }
        }
    }

    /// <summary>The schemas of tools, which some data sets keep as a text of JSON.</summary>
    private static JsonElement? Tools(string path, DatasetRow row)
    {
        if (!row.Value.TryGetProperty("tools", out JsonElement tools))
        {
            return null;
        }

        try
        {
            JsonElement schemas = tools.ValueKind == JsonValueKind.String && tools.GetString() is { Length: > 0 } text ? JsonElement.Parse(text) : tools;
            return schemas.ValueKind == JsonValueKind.Array && schemas.GetArrayLength() > 0 ? schemas
                : schemas.ValueKind is JsonValueKind.Null or JsonValueKind.Array or JsonValueKind.String ? null
                : throw Broken(path, row, $"'tools' is a JSON {schemas.ValueKind}, expected an array of schemas");
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(path, $"{row.Place}: 'tools' is a text, but no JSON: {problem.Message}", problem);
        }
    }
}

using System.Text.Json;
using System.Text.Json.Nodes;

namespace Bitsmith.Models.Generation;

/// <summary>A call of a tool that the model asks for.</summary>
/// <param name="Name">The tool.</param>
/// <param name="Arguments">Argument names and values.</param>
public sealed record ToolCall(string Name, JsonObject Arguments);

/// <summary>An answer of a GLM model, cut into its fields.</summary>
/// <param name="Reasoning">What stood in the think block; null where there was none.</param>
/// <param name="Content">The answer itself.</param>
/// <param name="ToolCalls">Calls in order.</param>
public sealed record GlmAnswer(string? Reasoning, string Content, IReadOnlyList<ToolCall> ToolCalls)
{
    private const string ThinkStart = "<think>", ThinkEnd = "</think>", CallStart = "<tool_call>", CallEnd = "</tool_call>";
    private const string KeyStart = "<arg_key>", KeyEnd = "</arg_key>", ValueStart = "<arg_value>", ValueEnd = "</arg_value>";

    /// <summary>
    /// Cuts a whole answer. A think block may lack its start (GLM-4.7 prompts end with it) or its end (the answer was cut off). A call is the tool's name up to a new line or the first
    /// argument, then pairs of arg_key and arg_value. A value is a string where the tool's schema says so; otherwise JSON if it parses as such, else the bare text.
    /// </summary>
    /// <param name="text">The answer, special tokens included.</param>
    /// <param name="startsInThinking">The prompt ended inside a think block.</param>
    /// <param name="isString">Whether a tool's argument is a string by its schema; null where no schema is known.</param>
    public static GlmAnswer Parse(string text, bool startsInThinking = false, Func<string, string, bool>? isString = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        string? reasoning = null;
        string rest = text;
        string trimmed = text.TrimStart();
        if (startsInThinking || trimmed.StartsWith(ThinkStart, StringComparison.Ordinal))
        {
            rest = trimmed.StartsWith(ThinkStart, StringComparison.Ordinal) ? trimmed[ThinkStart.Length..] : text;
            int end = rest.IndexOf(ThinkEnd, StringComparison.Ordinal);
            reasoning = (end < 0 ? rest : rest[..end]).Trim();
            rest = end < 0 ? string.Empty : rest[(end + ThinkEnd.Length)..];
        }

        List<ToolCall> calls = [];
        int start;
        while ((start = rest.IndexOf(CallStart, StringComparison.Ordinal)) >= 0)
        {
            int end = rest.IndexOf(CallEnd, start, StringComparison.Ordinal);
            if (end < 0)
            {
                break; // cut off: what there is of the call stays visible as text
            }

            calls.Add(ParseCall(rest[(start + CallStart.Length)..end], isString));
            rest = rest[..start].TrimEnd() + rest[(end + CallEnd.Length)..];
        }

        return new GlmAnswer(string.IsNullOrEmpty(reasoning) ? null : reasoning, rest.Trim(), calls);
    }

    private static ToolCall ParseCall(string text, Func<string, string, bool>? isString)
    {
        int line = text.TrimStart().IndexOf('\n', StringComparison.Ordinal), first = text.IndexOf(KeyStart, StringComparison.Ordinal);
        string head = first < 0 ? text : text[..first];
        string name = (line < 0 ? head : head.TrimStart().Split('\n')[0]).Trim();
        JsonObject arguments = [];
        int position = 0;
        while (Between(text, KeyStart, KeyEnd, ref position) is { } key && Between(text, ValueStart, ValueEnd, ref position) is { } value)
        {
            arguments[key.Trim()] = isString?.Invoke(name, key.Trim()) == true ? JsonValue.Create(value.Trim()) : ParseValue(value.Trim());
        }

        return new ToolCall(name, arguments);
    }

    private static JsonNode? ParseValue(string value)
    {
        try
        {
            return JsonNode.Parse(value);
        }
        catch (JsonException)
        {
            return JsonValue.Create(value); // the format writes strings bare
        }
    }

    private static string? Between(string text, string start, string end, ref int position)
    {
        int from = text.IndexOf(start, position, StringComparison.Ordinal);
        int to = from < 0 ? -1 : text.IndexOf(end, from + start.Length, StringComparison.Ordinal);
        if (to < 0)
        {
            return null;
        }

        position = to + end.Length;
        return text[(from + start.Length)..to];
    }
}

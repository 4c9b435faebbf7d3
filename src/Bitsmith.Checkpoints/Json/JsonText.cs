using System.Text;
using System.Text.Json;

namespace Bitsmith.Checkpoints.Json;

/// <summary>
/// A JSON object kept as the text it was read from. Edits replace only the bytes of the value concerned: all other keys, their order,
/// number spellings and white space survive.
/// </summary>
public sealed class JsonText
{
    private const int MaxDepth = 64;
    private const string Indent = "  ";

    private readonly byte[] utf8;
    private JsonText(byte[] utf8, string path, JsonDocument document)
    {
        this.utf8 = utf8;
        Path = path;
        Root = document.RootElement;
    }

    /// <summary>What messages call the text: its file.</summary>
    public string Path { get; }

    /// <summary>The parsed object.</summary>
    public JsonElement Root { get; }

    /// <summary>The text, UTF-8.</summary>
    public ReadOnlySpan<byte> Utf8 => utf8;

    /// <summary>Reads a file that holds one JSON object.</summary>
    /// <exception cref="CheckpointException">The file is missing or holds something else.</exception>
    public static JsonText Load(string path)
    {
        try
        {
            return Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException(path, "this file is missing. A Hugging Face model folder has it; check the path or download the folder again.", missing);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
    }

    /// <summary>Parses one JSON object; duplicate keys and nesting deeper than 64 are refused.</summary>
    /// <exception cref="CheckpointException">The bytes are not one JSON object in UTF-8.</exception>
    public static JsonText Parse(byte[] utf8, string path)
    {
        ArgumentNullException.ThrowIfNull(utf8);
        ReadOnlySpan<byte> content = utf8;
        if (content.StartsWith("\uFEFF"u8))
        {
            utf8 = content[3..].ToArray();
        }

        if (!System.Text.Unicode.Utf8.IsValid(utf8))
        {
            throw new CheckpointException(path, "is not valid UTF-8. The file is damaged; download it again.");
        }

        try
        {
            CheckStrings(utf8);
            JsonDocument document = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new JsonText(utf8, path, document)
                : throw new CheckpointException(path, $"holds a JSON {document.RootElement.ValueKind}, expected an object.");
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException)
        {
            throw new CheckpointException(path, $"is not valid JSON: {problem.Message}", problem);
        }
    }

    /// <summary>Replaces a value, or appends the property to the object that its path names.</summary>
    /// <param name="properties">Property names from the root; all but the last must exist and be objects.</param>
    /// <param name="value">JSON, written without indentation of its own first line.</param>
    public JsonText With(ReadOnlySpan<string> properties, string value)
    {
        (Range valueRange, _) = Find(properties);
        if (valueRange.Start.Value != valueRange.End.Value)
        {
            return Splice(valueRange, IndentLines(value, properties.Length));
        }

        (Range parent, _) = Find(properties[..^1]);
        if (parent.End.Value == 0 || utf8[parent.Start] != (byte)'{')
        {
            throw new CheckpointException(Path, $"has no object '{string.Join('.', properties[..^1]!)}' to put '{properties[^1]}' into.");
        }

        int brace = parent.End.Value - 1;
        int last = brace - 1;
        while (last > 0 && char.IsWhiteSpace((char)utf8[last]))
        {
            last--;
        }

        string lead = utf8[last] == (byte)'{' ? string.Empty : ",";
        string indent = string.Concat(Enumerable.Repeat(Indent, properties.Length));
        string outer = string.Concat(Enumerable.Repeat(Indent, properties.Length - 1));
        string text = $"{lead}\n{indent}{Quote(properties[^1])}: {IndentLines(value, properties.Length)}\n{outer}";
        return Splice((last + 1)..brace, text);
    }

    /// <summary>Removes a property; does nothing where it is absent.</summary>
    /// <param name="properties">Property names from the root.</param>
    public JsonText Without(ReadOnlySpan<string> properties)
    {
        (Range value, int name) = Find(properties);
        if (value.Start.Value == value.End.Value)
        {
            return this;
        }

        // The comma to take out is the one before the property, or, for the first property, the one behind it.
        int start = name, end = value.End.Value;
        int before = start - 1;
        while (char.IsWhiteSpace((char)utf8[before]))
        {
            before--;
        }

        if (utf8[before] == (byte)',')
        {
            start = before;
        }
        else
        {
            while (char.IsWhiteSpace((char)utf8[end]))
            {
                end++;
            }

            end = utf8[end] == (byte)',' ? end + 1 : value.End.Value;
            start = before + 1;
        }

        return Splice(start..end, string.Empty);
    }

    /// <summary>The element at a path, or null.</summary>
    /// <param name="properties">Property names from the root.</param>
    public JsonElement? Get(params ReadOnlySpan<string> properties)
    {
        JsonElement element = Root;
        foreach (string property in properties)
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(property, out element))
            {
                return null;
            }
        }

        return element;
    }

    /// <summary>Unescapes every string once: half a surrogate pair fails here and not where the string is used.</summary>
    private static void CheckStrings(byte[] utf8)
    {
        Utf8JsonReader reader = new(utf8, new JsonReaderOptions { MaxDepth = MaxDepth });
        while (reader.Read())
        {
            if (reader.ValueIsEscaped)
            {
                _ = reader.GetString();
            }
        }
    }

    private static string Quote(string text) => $"\"{JsonEncodedText.Encode(text)}\"";

    private static string IndentLines(string value, int depth) =>
        value.ReplaceLineEndings("\n").Replace("\n", "\n" + string.Concat(Enumerable.Repeat(Indent, depth)), StringComparison.Ordinal);

    private JsonText Splice(Range range, string text)
    {
        byte[] insert = Encoding.UTF8.GetBytes(text);
        byte[] result = [.. utf8.AsSpan()[..range.Start], .. insert, .. utf8.AsSpan()[range.End..]];
        return Parse(result, Path);
    }

    /// <summary>The bytes of a value, empty where it is absent, and where the name of its property starts.</summary>
    private (Range Value, int Name) Find(ReadOnlySpan<string> properties)
    {
        Utf8JsonReader reader = new(utf8, new JsonReaderOptions { MaxDepth = MaxDepth });
        reader.Read();
        int nameStart = 0;
        foreach (string property in properties)
        {
            bool found = false;
            bool inside = reader.TokenType == JsonTokenType.StartObject; // what follows any other value is not part of it
            while (inside && !found && reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                nameStart = (int)reader.TokenStartIndex;
                found = reader.ValueTextEquals(property);
                reader.Read();
                if (!found)
                {
                    reader.Skip();
                }
            }

            if (!found)
            {
                return (0..0, 0);
            }
        }

        int start = (int)reader.TokenStartIndex;
        reader.Skip();
        return (start..(int)reader.BytesConsumed, nameStart);
    }
}

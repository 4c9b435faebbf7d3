using System.Text.Json;

namespace Bitsmith.Checkpoints.Json;

/// <summary>Small steps of reading JSON strictly; a surprise is a <see cref="JsonException"/> that names the place.</summary>
internal static class JsonReading
{
    /// <summary>Reads the next token, which must be of the given type.</summary>
    public static void Expect(this ref Utf8JsonReader reader, JsonTokenType type, string place)
    {
        if (!reader.Read() || reader.TokenType != type)
        {
            throw new JsonException($"{place} must be {Word(type)}, found {Word(reader.TokenType)}");
        }
    }

    /// <summary>Reads the next property name of the current object; false at its end.</summary>
    public static bool ReadProperty(this ref Utf8JsonReader reader, out string name)
    {
        name = string.Empty;
        if (!reader.Read() || reader.TokenType == JsonTokenType.EndObject)
        {
            return false;
        }

        name = reader.GetString()!;
        return true;
    }

    private static string Word(JsonTokenType type) => type switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "true or false",
        JsonTokenType.Null => "null",
        _ => "nothing",
    };
}

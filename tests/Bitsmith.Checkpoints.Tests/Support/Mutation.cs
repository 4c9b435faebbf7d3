namespace Bitsmith.Checkpoints.Tests.Support;

/// <summary>Random damage to bytes.</summary>
internal static class Mutation
{
    // What a parser stumbles over: structure, numbers, escapes, broken UTF-8.
    private static readonly byte[][] Tokens =
    [
        [.. "{"u8], [.. "}"u8], [.. "["u8], [.. "]"u8], [.. "\""u8], [.. ","u8], [.. ":"u8], [.. "null"u8], [.. "true"u8], [.. "-1"u8], [.. "0"u8],
        [.. "1e5"u8], [.. "9223372036854775807"u8], [.. "18446744073709551616"u8], [.. "\"\\ud800\""u8], [.. "\\ud800"u8], [.. "\\u0000"u8],
        [0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0], [.. "\"x\":{}"u8], [.. "[[[[[[[[[[[[["u8], [.. "../"u8],
    ];

    /// <summary>One to four changes; those that insert or overwrite with tokens hit the first <paramref name="structure"/> bytes.</summary>
    public static byte[] Damage(byte[] original, int structure, Random random)
    {
        List<byte> bytes = [.. original];
        for (int change = random.Next(1, 5); change > 0 && bytes.Count > 0; change--)
        {
            int place = random.Next(random.Next(4) == 0 ? bytes.Count : Math.Min(structure, bytes.Count));
            switch (random.Next(7))
            {
                case 0:
                    bytes[place] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[place] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.Insert(place, (byte)random.Next(256));
                    break;
                case 3:
                    bytes.RemoveRange(place, Math.Min(random.Next(1, 12), bytes.Count - place));
                    break;
                case 4:
                    bytes.RemoveRange(place, bytes.Count - place);
                    break;
                case 5:
                    bytes.InsertRange(place, Tokens[random.Next(Tokens.Length)]);
                    break;
                default:
                    int length = Math.Min(random.Next(1, 40), bytes.Count - place);
                    bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(place, length));
                    break;
            }
        }

        return [.. bytes];
    }

    /// <summary>Replaces one JSON value or number by something that parses but is not what was meant.</summary>
    public static string Misplace(string json, Random random)
    {
        string[] values = ["null", "true", "0", "-3", "1e400", "2147483648", "0.5", "\"\"", "\"text\"", "\"a/b\"", "[]", "[null]", "{}", "{\"a\":1}", "\"\\udc00\"", "\"\\u0000.safetensors\""];
        int[] colons = [.. Enumerable.Range(0, json.Length).Where(i => json[i] == ':')];
        int start = colons[random.Next(colons.Length)] + 1, end = start, depth = 0;
        bool text = false;
        for (; end < json.Length && (text || depth > 0 || json[end] is not (',' or '}' or ']')); end++)
        {
            text ^= json[end] == '"' && json[end - 1] != '\\';
            depth += text ? 0 : json[end] is '{' or '[' ? 1 : json[end] is '}' or ']' ? -1 : 0;
        }

        return string.Concat(json.AsSpan(0, start), values[random.Next(values.Length)], json.AsSpan(end));
    }
}

using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Text;

// tokenizer-check TOKENIZER DIR [ROUNDS]: DIR as proofs/peers/tokenizer_strings.py writes it. Exit code 1 where a string differs.
if (args.Length is not (2 or 3))
{
    Console.Error.WriteLine("usage: tokenizer-check TOKENIZER DIR [ROUNDS]");
    return 2;
}

try
{
    return Run(args[0], args[1], args.Length > 2 ? int.Parse(args[2]) : 3);
}
catch (Exception problem) when (problem is CheckpointException or IOException or FormatException)
{
    Console.Error.WriteLine($"tokenizer-check: {problem.Message}");
    return problem is CheckpointException ? 3 : 1;
}

static int Run(string file, string folder, int rounds)
{
    long start = Stopwatch.GetTimestamp();
    Tokenizer tokenizer = Tokenizer.Load(file);
    Console.WriteLine($"loaded {tokenizer.VocabularySize} tokens in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");

    byte[] stringBytes = File.ReadAllBytes(Path.Combine(folder, "strings.bin"));
    byte[] idBytes = File.ReadAllBytes(Path.Combine(folder, "ids.bin"));
    List<string> strings = [];
    int at = 0;
    while (at < stringBytes.Length)
    {
        strings.Add(Encoding.UTF8.GetString(Block(stringBytes, ref at, 1)));
    }

    int different = 0;
    int broken = 0;
    at = 0;
    foreach (string text in strings)
    {
        ReadOnlySpan<int> expected = MemoryMarshal.Cast<byte, int>(Block(idBytes, ref at, sizeof(int)));
        int[] found = tokenizer.Encode(text);
        if (!expected.SequenceEqual(found) && different++ < 10)
        {
            int place = expected.CommonPrefixLength(found);
            Console.WriteLine($"DIFFERENT {Escape(text)}\n  at id {place}, after {Escape(tokenizer.Decode(found.AsSpan(0, place), skipSpecial: false))}");
            Console.WriteLine($"  library {Tokens(tokenizer, expected[place..])}\n  here    {Tokens(tokenizer, found.AsSpan(place))}");
        }

        if (tokenizer.Decode(found, skipSpecial: false) != text && broken++ < 10)
        {
            Console.WriteLine($"NOT DECODED BACK {Escape(text)}");
        }
    }

    (int decoded, int wrong) = CompareDecoded(tokenizer, File.ReadAllBytes(Path.Combine(folder, "decoded.bin")));
    Console.WriteLine($"{strings.Count} strings: {different} with other ids, {broken} not decoded back; {decoded} lists of ids: {wrong} with other text");

    double size = stringBytes.Length - (4.0 * strings.Count);
    double best = double.MaxValue;
    for (int round = 0; round < rounds; round++)
    {
        start = Stopwatch.GetTimestamp();
        foreach (string text in strings)
        {
            tokenizer.Encode(text);
        }

        best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    Console.WriteLine($"one thread: {strings.Count / best:F0} strings/s {size / best / 1e6:F2} MB/s");
    return different + broken + wrong == 0 ? 0 : 1;
}

static (int Count, int Wrong) CompareDecoded(Tokenizer tokenizer, byte[] data)
{
    int count = 0;
    int wrong = 0;
    for (int at = 0; at < data.Length; count++)
    {
        ReadOnlySpan<int> ids = MemoryMarshal.Cast<byte, int>(Block(data, ref at, sizeof(int)));
        string expected = Encoding.UTF8.GetString(Block(data, ref at, 1));
        StreamingDecoder stream = new(tokenizer, skipSpecial: false);
        StringBuilder streamed = new();
        foreach (int id in ids)
        {
            streamed.Append(stream.Append(id));
        }

        streamed.Append(stream.Flush());
        string found = tokenizer.Decode(ids, skipSpecial: false);
        if ((found != expected || streamed.ToString() != expected) && wrong++ < 10)
        {
            Console.WriteLine($"DECODED OTHERWISE {Tokens(tokenizer, ids)}\n  library {Escape(expected)}\n  here    {Escape(found)}\n  stream  {Escape(streamed.ToString())}");
        }
    }

    return (count, wrong);
}

static ReadOnlySpan<byte> Block(byte[] data, ref int at, int unit)
{
    int length = BinaryPrimitives.ReadInt32LittleEndian(data.AsSpan(at)) * unit;
    at += sizeof(int) + length;
    return data.AsSpan(at - length, length);
}

static string Tokens(Tokenizer tokenizer, ReadOnlySpan<int> ids)
{
    StringBuilder text = new();
    foreach (int id in ids[..Math.Min(ids.Length, 12)])
    {
        text.Append(Escape(tokenizer.TokenOf(id))).Append(' ');
    }

    return text.ToString();
}

static string Escape(string text)
{
    StringBuilder escaped = new("\"");
    foreach (char c in text.Length > 300 ? text[..300] : text)
    {
        escaped.Append(c is >= ' ' and <= '~' ? c.ToString() : $"\\u{(int)c:X4}");
    }

    return escaped.Append('"').ToString();
}

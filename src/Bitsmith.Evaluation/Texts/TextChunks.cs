using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Text;

namespace Bitsmith.Evaluation.Texts;

/// <summary>
/// A text as llama.cpp's programs cut it to measure on: one newline at the end of the file is dropped, the whole text becomes tokens at once, consecutive chunks of as many tokens as the
/// context has are taken and the rest is left. Where the vocabulary begins texts with a token, it takes the place of each chunk's first.
/// </summary>
public sealed class TextChunks
{
    private readonly int[] tokens;

    private TextChunks(int[] tokens, int size, int count) => (this.tokens, Size, Count) = (tokens, size, count);

    /// <summary>Tokens in a chunk.</summary>
    public int Size { get; }

    /// <summary>Number of chunks.</summary>
    public int Count { get; }

    /// <summary>SHA-256 of the tokens of all chunks, in hexadecimal.</summary>
    public string Digest => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(tokens.AsSpan())));

    /// <summary>The tokens of a chunk.</summary>
    public ReadOnlySpan<int> this[int chunk] => tokens.AsSpan(chunk * Size, Size);

    /// <summary>Reads a text file and cuts it.</summary>
    /// <param name="path">The file, UTF-8.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="settings">How it is cut.</param>
    /// <exception cref="CheckpointException">The file cannot be read, is not UTF-8, or has less than two chunks, or none behind those to be skipped.</exception>
    public static TextChunks Read(string path, Tokenizer tokenizer, TextChunkSettings settings)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(settings);
        string text = Text(path);
        int[] all = tokenizer.Encode(text.EndsWith('\n') ? text[..^1] : text, settings.ParseSpecial);
        int size = settings.Size, whole = all.Length / size;
        if (whole < 2 || whole <= settings.Skip)
        {
            throw new CheckpointException(
                path, $"has {all.Length} tokens, which are {whole} chunk(s) of {size}; {(whole < 2 ? "at least 2 are needed" : $"{settings.Skip} are to be skipped")}. Take more text or a smaller context.");
        }

        int count = Math.Min(whole - settings.Skip, settings.Most ?? int.MaxValue);
        int[] tokens = all[(settings.Skip * size)..((settings.Skip + count) * size)];
        for (int chunk = 0; settings.First is int first && chunk < count; chunk++)
        {
            tokens[chunk * size] = first;
        }

        return new TextChunks(tokens, size, count);
    }

    private static string Text(string path)
    {
        try
        {
            return new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or DecoderFallbackException)
        {
            throw new CheckpointException(path, problem is DecoderFallbackException ? "is no UTF-8 text. Convert it first." : $"cannot be read: {problem.Message}", problem);
        }
    }
}

/// <summary>How a text is cut.</summary>
/// <param name="Size">Tokens in a chunk.</param>
/// <param name="Skip">Chunks to leave out at the start.</param>
/// <param name="Most">Most chunks to take; null for all.</param>
/// <param name="ParseSpecial">Whether the names of special tokens in the text stand for these tokens.</param>
/// <param name="First">The token that takes the place of each chunk's first, or null.</param>
public sealed record TextChunkSettings(int Size = 512, int Skip = 0, int? Most = null, bool ParseSpecial = false, int? First = null);

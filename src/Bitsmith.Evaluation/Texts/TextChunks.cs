using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Text;

namespace Bitsmith.Evaluation.Texts;

/// <summary>
/// A text as llama.cpp's programs cut it to measure on: one newline at the end of the file is dropped, the whole text becomes tokens at once, consecutive chunks of as many tokens as the
/// context has are taken and the rest is left; the second half of each is scored. Where the vocabulary begins texts with a token, it takes the place of each chunk's first when the chunk is run.
/// With a stride, chunks overlap: one begins every so many tokens, and so many positions of each are scored.
/// </summary>
public sealed class TextChunks
{
    // llama.cpp gives a context room for a multiple of this many tokens, and --ppl-stride takes all of it for the chunk.
    private const int StridedSizeMultiple = 256;

    private readonly int[] tokens;

    private TextChunks(string source, int[] tokens, int size, int count, int? stride, int? first)
    {
        (Source, this.tokens, Size, Count) = (source, tokens, size, count);
        (Stride, FirstScored, First) = stride is int step ? (step, size - step - 1, null) : (size, size / 2, first);
    }

    /// <summary>The file that the tokens are from.</summary>
    public string Source { get; }

    /// <summary>Tokens in a chunk.</summary>
    public int Size { get; }

    /// <summary>Number of chunks.</summary>
    public int Count { get; }

    /// <summary>Tokens from the start of a chunk to that of the next.</summary>
    public int Stride { get; }

    /// <summary>The first position of a chunk that is scored; the last is the one before its last token, which it predicts.</summary>
    public int FirstScored { get; }

    /// <summary>Positions scored in each chunk.</summary>
    public int ScoredPerChunk => Size - 1 - FirstScored;

    /// <summary>The token that takes the place of each chunk's first when it is run, or null.</summary>
    public int? First { get; }

    /// <summary>SHA-256 of the tokens of all chunks, in hexadecimal.</summary>
    public string Digest => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(tokens.AsSpan())));

    /// <summary>The tokens of a chunk, as they stand in the text.</summary>
    public ReadOnlySpan<int> this[int chunk] => tokens.AsSpan(chunk * Stride, Size);

    /// <summary>The tokens of a chunk as they are run.</summary>
    public int[] ToRun(int chunk) => First is int first ? [first, .. this[chunk][1..]] : this[chunk].ToArray();

    /// <summary>The same chunks, begun with another token when they are run; not where they overlap.</summary>
    public TextChunks BeginningWith(int? first) => new(Source, tokens, Size, Count, Stride == Size ? null : Stride, first);

    /// <summary>Chunks that were cut before.</summary>
    /// <param name="source">The file that they are from.</param>
    /// <param name="tokens">The tokens of all chunks, one behind the other.</param>
    /// <param name="size">Tokens in a chunk.</param>
    /// <param name="first">The token that takes the place of each chunk's first, or null.</param>
    /// <exception cref="ArgumentException">The tokens are no whole chunks.</exception>
    public static TextChunks OfTokens(string source, ReadOnlySpan<int> tokens, int size, int? first = null) => size > 0 && tokens.Length > 0 && tokens.Length % size == 0
        ? new TextChunks(source, tokens.ToArray(), size, tokens.Length / size, null, first)
        : throw new ArgumentException($"{tokens.Length} tokens are no chunks of {size}.", nameof(tokens));

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
        int size = settings.Stride is int stride ? Strided(settings.Size, stride) : settings.Size, step = settings.Stride ?? size;
        int least = all.Length / size;
        int whole = settings.Stride is null ? least : Math.Max(0, all.Length - size + step - 1) / step;
        if (least < 2 || whole <= settings.Skip)
        {
            throw new CheckpointException(
                path, $"has {all.Length} tokens, which are {least} chunk(s) of {size}; {(least < 2 ? "at least 2 are needed" : $"{settings.Skip} are to be skipped")}. Take more text or a smaller context.");
        }

        int count = Math.Min(whole - settings.Skip, settings.Most ?? int.MaxValue), start = settings.Skip * step;
        return new TextChunks(path, all[start..(start + ((count - 1) * step) + size)], size, count, settings.Stride, settings.First);
    }

    private static int Strided(int size, int stride) => (size + (stride / 2) + StridedSizeMultiple - 1) / StridedSizeMultiple * StridedSizeMultiple;

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
/// <param name="Stride">
/// Tokens from the start of a chunk to that of the next, of which as many positions are scored; null for chunks that do not overlap. As with llama-perplexity's --ppl-stride, a chunk then has
/// <paramref name="Size"/> + half the stride tokens, rounded up to a multiple of 256, and begins with no other token than the text's.
/// </param>
public sealed record TextChunkSettings(int Size = 512, int Skip = 0, int? Most = null, bool ParseSpecial = false, int? First = null, int? Stride = null);

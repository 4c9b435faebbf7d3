using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>
/// The file that llama-perplexity writes with --kl-divergence-base: a text as tokens, cut into chunks, and a model's log-probabilities at the positions of each chunk's second half in 16 bits.
/// A record has two F32, scale and least, and a 16-bit u for each token of the vocabulary: log p = scale · u + least. What lies more than 16 nats below the likeliest token was raised to there.
/// </summary>
public sealed class LogitsFile : IDisposable
{
    /// <summary>Where the 16 bits end: log-probabilities from here down are not known.</summary>
    public const float LeastKnown = -16;

    internal static ReadOnlySpan<byte> Magic => "_logits_"u8;

    // What rounding may raise the largest log-probability to.
    private const float MostCertain = 1e-3f;

    internal const int HeaderBytes = 20, RecordHeaderBytes = 2 * sizeof(float);

    private readonly string path;
    private readonly SafeFileHandle handle;
    private readonly int[] tokens;
    private readonly int recordBytes;

    private LogitsFile(string path, SafeFileHandle handle, (int Context, int Vocabulary, int Chunks) header, long recordBytes)
    {
        (this.path, this.handle, this.recordBytes) = (path, handle, (int)recordBytes);
        (ContextSize, VocabularySize, ChunkCount) = header;
        tokens = new int[ContextSize * ChunkCount];
        Read(HeaderBytes, MemoryMarshal.AsBytes(tokens.AsSpan()));
        int wrong = tokens.AsSpan().IndexOfAnyExceptInRange(0, VocabularySize - 1);
        if (wrong >= 0)
        {
            throw Broken($"token {wrong} is {tokens[wrong]}, and the vocabulary has {VocabularySize}");
        }
    }

    /// <summary>Tokens in a chunk.</summary>
    public int ContextSize { get; }

    /// <summary>Tokens in the vocabulary.</summary>
    public int VocabularySize { get; }

    /// <summary>Number of chunks.</summary>
    public int ChunkCount { get; }

    /// <summary>The first position of a chunk that is scored; the last is the one before its last token, which it predicts.</summary>
    public int FirstScored => ContextSize / 2;

    /// <summary>Positions scored in each chunk.</summary>
    public int ScoredPerChunk => ContextSize - 1 - FirstScored;

    /// <summary>Opens a file and checks its header, its length and its tokens.</summary>
    /// <exception cref="CheckpointException">The file is missing, cannot be read, or is no such file.</exception>
    public static LogitsFile Open(string path)
    {
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path);
            (int context, int vocabulary, int chunks) = ReadHeader(path, handle);
            long length = RandomAccess.GetLength(handle), recordBytes = RecordBytes(vocabulary);
            Int128 expected = HeaderBytes + ((Int128)sizeof(int) * context * chunks) + ((Int128)recordBytes * (context - 1 - (context / 2)) * chunks);
            return length == expected && (long)context * chunks <= Array.MaxLength && recordBytes <= Array.MaxLength
                ? new LogitsFile(path, handle, (context, vocabulary, chunks), recordBytes)
                : throw new CheckpointException(
                    path, $"has {length} bytes; {chunks} chunks of {context} tokens with a vocabulary of {vocabulary} take {expected}. {(length < expected ? "It was cut off: write" : "Write")} it again.");
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            handle?.Dispose();
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
        catch
        {
            handle?.Dispose();
            throw;
        }
    }

    /// <summary>The chunks, to be run by a model whose texts begin with a token or with none.</summary>
    public TextChunks Chunks(int? first) => TextChunks.OfTokens(path, tokens, ContextSize, first);

    /// <summary>The tokens of a chunk, as they stood in the text.</summary>
    public ReadOnlySpan<int> Tokens(int chunk) => tokens.AsSpan(chunk * ContextSize, ContextSize);

    /// <summary>Reads the log-probabilities of the token behind a position; several threads may read at once.</summary>
    /// <param name="chunk">The chunk.</param>
    /// <param name="position">From <see cref="FirstScored"/> on, <see cref="ScoredPerChunk"/> of them.</param>
    /// <param name="logProbabilities">Receives one for each token of the vocabulary.</param>
    /// <param name="instructionSet">Kernels.</param>
    /// <exception cref="CheckpointException">The record holds no log-probabilities, or reading failed.</exception>
    public void Read(int chunk, int position, Span<float> logProbabilities, InstructionSet instructionSet)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)chunk, (uint)ChunkCount, nameof(chunk));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)(position - FirstScored), (uint)ScoredPerChunk, nameof(position));
        ArgumentOutOfRangeException.ThrowIfNotEqual(logProbabilities.Length, VocabularySize, nameof(logProbabilities));
        long index = ((long)chunk * ScoredPerChunk) + position - FirstScored;
        Span<byte> record = ThreadScratch.Take<byte>(recordBytes);
        Read(HeaderBytes + ((long)tokens.Length * sizeof(int)) + (index * recordBytes), record);
        float scale = BinaryPrimitives.ReadSingleLittleEndian(record), least = BinaryPrimitives.ReadSingleLittleEndian(record[sizeof(float)..]);
        if (!(scale >= 0) || !float.IsFinite(least) || !((scale * ushort.MaxValue) + least <= MostCertain))
        {
            throw Broken($"position {position} of chunk {chunk} has a scale of {scale} and a least log-probability of {least}");
        }

        DistributionKernels.FromSteps(MemoryMarshal.Cast<byte, ushort>(record[RecordHeaderBytes..])[..VocabularySize], scale, least, logProbabilities, instructionSet);
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    /// <summary>Bytes of a record.</summary>
    internal static long RecordBytes(int vocabulary) => RecordHeaderBytes + (2L * sizeof(ushort) * ((vocabulary + 1L) / 2));

    private static (int Context, int Vocabulary, int Chunks) ReadHeader(string path, SafeFileHandle handle)
    {
        byte[] header = new byte[HeaderBytes];
        if (RandomAccess.Read(handle, header, 0) < header.Length || !header.AsSpan().StartsWith(Magic))
        {
            throw new CheckpointException(path, "does not start as a file of log-probabilities does, with '_logits_' and three numbers. llama-perplexity writes one with --kl-divergence-base.");
        }

        ReadOnlySpan<int> numbers = MemoryMarshal.Cast<byte, int>(header.AsSpan(8));
        return numbers[0] > 2 && numbers[1] > 0 && numbers[2] > 0
            ? (numbers[0], numbers[1], numbers[2])
            : throw new CheckpointException(path, $"says that it has {numbers[2]} chunks of {numbers[0]} tokens and a vocabulary of {numbers[1]}; expected at least 1, 3 and 1. Write it again.");
    }

    private CheckpointException Broken(string problem) => new(path, $"{problem}. The file is damaged; write it again.");

    private void Read(long offset, Span<byte> target)
    {
        try
        {
            while (!target.IsEmpty)
            {
                int read = RandomAccess.Read(handle, target, offset);
                if (read == 0)
                {
                    throw Broken($"ends at byte {offset}, earlier than when it was opened");
                }

                target = target[read..];
                offset += read;
            }
        }
        catch (IOException problem)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
    }
}

using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>
/// The divergence at every scored token of a text, in a file that grows chunk by chunk, so that a measurement which was stopped goes on where it was. Of each chunk follow, for each token, the divergence, the
/// model's and the base model's loss (binary64, little-endian) and a byte that is 1 where both find the same token likeliest; then the SHA-256 of these bytes. What a crash left half-written behind the last
/// sound chunk is cut off when the file is opened.
/// </summary>
internal sealed class TokenSeries : IDisposable
{
    private const int TokenBytes = (3 * sizeof(double)) + 1;

    private readonly FileStream file;
    private readonly int tokensPerChunk;
    private readonly List<TokenDivergence> tokens = [], pending = [];

    private TokenSeries(FileStream file, int tokensPerChunk) => (this.file, this.tokensPerChunk) = (file, tokensPerChunk);

    /// <summary>The tokens of all sound chunks.</summary>
    public IReadOnlyList<TokenDivergence> Tokens => tokens;

    /// <summary>Sound chunks.</summary>
    public int Chunks => tokens.Count / tokensPerChunk;

    private int ChunkBytes => (tokensPerChunk * TokenBytes) + SHA256.HashSizeInBytes;

    /// <summary>Opens a file, or begins one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tokensPerChunk">Tokens that are scored in a chunk.</param>
    /// <exception cref="IOException">The system refused.</exception>
    public static TokenSeries Open(string path, int tokensPerChunk)
    {
        TokenSeries series = new(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), tokensPerChunk);
        try
        {
            series.ReadChunks();
            return series;
        }
        catch
        {
            series.Dispose();
            throw;
        }
    }

    /// <summary>Leaves only the first chunks.</summary>
    public void Truncate(int chunks)
    {
        tokens.RemoveRange(chunks * tokensPerChunk, tokens.Count - (chunks * tokensPerChunk));
        file.SetLength((long)chunks * ChunkBytes);
        file.Position = file.Length;
    }

    /// <summary>Adds the next token; a chunk that it completes is written.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public void Add(in TokenDivergence token)
    {
        pending.Add(token);
        if (pending.Count == tokensPerChunk)
        {
            byte[] bytes = new byte[ChunkBytes];
            for (int i = 0; i < tokensPerChunk; i++)
            {
                Encode(pending[i], bytes.AsSpan(i * TokenBytes, TokenBytes));
            }

            SHA256.HashData(bytes.AsSpan(0, tokensPerChunk * TokenBytes), bytes.AsSpan(tokensPerChunk * TokenBytes));
            file.Write(bytes);
            tokens.AddRange(pending);
            pending.Clear();
        }
    }

    /// <summary>Brings what is written to the disk.</summary>
    public void Flush() => file.Flush(flushToDisk: true);

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private void ReadChunks()
    {
        byte[] bytes = new byte[ChunkBytes], hash = new byte[SHA256.HashSizeInBytes];
        int payload = tokensPerChunk * TokenBytes;
        while (file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) == bytes.Length)
        {
            SHA256.HashData(bytes.AsSpan(0, payload), hash);
            if (!hash.AsSpan().SequenceEqual(bytes.AsSpan(payload)))
            {
                break;
            }

            for (int i = 0; i < tokensPerChunk; i++)
            {
                tokens.Add(Decode(bytes.AsSpan(i * TokenBytes, TokenBytes)));
            }
        }

        Truncate(Chunks);
    }

    private static void Encode(in TokenDivergence token, Span<byte> bytes)
    {
        BinaryPrimitives.WriteDoubleLittleEndian(bytes, token.Divergence);
        BinaryPrimitives.WriteDoubleLittleEndian(bytes[8..], token.Loss);
        BinaryPrimitives.WriteDoubleLittleEndian(bytes[16..], token.BaseLoss);
        bytes[24] = token.SameTop ? (byte)1 : (byte)0;
    }

    private static TokenDivergence Decode(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadDoubleLittleEndian(bytes), BinaryPrimitives.ReadDoubleLittleEndian(bytes[8..]), BinaryPrimitives.ReadDoubleLittleEndian(bytes[16..]), bytes[24] != 0);
}

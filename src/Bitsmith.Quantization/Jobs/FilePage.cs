using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Quantization.Jobs;

/// <summary>A piece of a file on its way to disk, and what is to be noted when it is there; reused.</summary>
internal sealed class FilePage
{
    /// <summary>Bytes of a page.</summary>
    public const int Size = 1 << 22;

    private readonly Memory<byte> room = DirectFile.Buffer(Size);
    private int limit;

    /// <summary>Index of the file.</summary>
    public int File { get; private set; }

    /// <summary>Where the page goes in its file.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes that are there.</summary>
    public int Length { get; private set; }

    /// <summary>The bytes.</summary>
    public ReadOnlySpan<byte> Bytes => room.Span[..Length];

    /// <summary>True where nothing more fits.</summary>
    public bool IsFull => Length == limit;

    /// <summary>The tensor whose bytes come last.</summary>
    public string Tensor { get; set; } = string.Empty;

    /// <summary>What is to be noted when the file is on disk up to here; null where work just goes on.</summary>
    public JournalEntry? Entry { get; set; }

    /// <summary>The last of its file.</summary>
    public bool EndsFile { get; set; }

    /// <summary>Takes the page into use. One that begins within a unit ends with it, so that the next can be written without a copy.</summary>
    public void Begin(int file, long offset)
    {
        int within = (int)(offset % DirectFile.Unit);
        (File, Offset, Length, Entry, EndsFile) = (file, offset, 0, null, false);
        limit = within == 0 ? Size : DirectFile.Unit - within;
    }

    /// <summary>Takes over as many bytes as fit, and tells how many.</summary>
    public int Append(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, limit - Length);
        bytes[..count].CopyTo(room.Span[Length..]);
        Length += count;
        return count;
    }
}

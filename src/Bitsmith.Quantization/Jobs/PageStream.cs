using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Files as one stream of bytes, front to back: hashes what it is given, and cuts it into pages, which it passes on when they are full.</summary>
/// <param name="free">Where pages come from.</param>
/// <param name="full">Where they go.</param>
/// <param name="hash">Holds the bytes before the start.</param>
/// <param name="from">The start.</param>
/// <param name="token">Ends waiting for a page.</param>
internal sealed class PageStream(BlockingCollection<FilePage> free, BlockingCollection<FilePage> full, IncrementalHash hash, GgufProgress from, CancellationToken token)
{
    private int file = from.File;
    private FilePage? page;

    /// <summary>Bytes of the file at work so far.</summary>
    public long Position { get; private set; } = from.Position;

    /// <summary>Appends bytes.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <param name="tensor">The tensor that they belong to.</param>
    public void Append(ReadOnlySpan<byte> bytes, string tensor)
    {
        hash.AppendData(bytes);
        while (!bytes.IsEmpty)
        {
            FilePage current = Current();
            current.Tensor = tensor;
            int taken = current.Append(bytes);
            Position += taken;
            bytes = bytes[taken..];
            if (current.IsFull)
            {
                Pass();
            }
        }
    }

    /// <summary>Appends zeros up to a position: less than an alignment.</summary>
    public void Fill(long position) => Append(new byte[(int)(position - Position)], page?.Tensor ?? string.Empty);

    /// <summary>Passes on what there is, to be noted when it is on disk.</summary>
    /// <param name="entry">Makes the note from the hash of the file so far.</param>
    /// <param name="endsFile">The next bytes start the next file.</param>
    public void Checkpoint(Func<string, JournalEntry> entry, bool endsFile)
    {
        FilePage last = Current();
        (last.Entry, last.EndsFile) = (entry(Convert.ToHexStringLower(hash.GetCurrentHash())), endsFile);
        Pass();
        if (endsFile)
        {
            hash.GetHashAndReset();
            (file, Position) = (file + 1, 0);
        }
    }

    private FilePage Current()
    {
        if (page is null)
        {
            page = free.Take(token);
            page.Begin(file, Position);
        }

        return page;
    }

    private void Pass()
    {
        full.Add(page!, token);
        page = null;
    }
}

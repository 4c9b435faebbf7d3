using System.Buffers.Binary;

namespace Bitsmith.Models.Images.Jpeg;

/// <summary>Marker codes (ITU-T T.81, table B.1), the byte behind 0xFF.</summary>
internal static class JpegMarker
{
    public const int Baseline = 0xC0, Extended = 0xC1, Progressive = 0xC2;
    public const int DefineHuffman = 0xC4, JpegExtension = 0xC8, DefineArithmetic = 0xCC, LastFrame = 0xCF;
    public const int FirstRestart = 0xD0, LastRestart = 0xD7;
    public const int Start = 0xD8, End = 0xD9, StartOfScan = 0xDA;
    public const int DefineQuantization = 0xDB, DefineLines = 0xDC, DefineRestart = 0xDD, Hierarchical = 0xDE, Expand = 0xDF;
    public const int App0 = 0xE0, App1 = 0xE1, App14 = 0xEE;
    public const int JpegLsFrame = 0xF7;
    public const int Temporary = 0x01;
}

/// <summary>Walks the marker segments of a JPEG file.</summary>
internal ref struct JpegSegments(ReadOnlySpan<byte> data, string source)
{
    private readonly ReadOnlySpan<byte> data = data;
    private readonly string source = source;

    /// <summary>Behind the current segment.</summary>
    public int Position { get; set; } = 2;

    /// <summary>Where the current marker stands.</summary>
    public int Start { get; private set; }

    /// <summary>The code of the current marker.</summary>
    public int Marker { get; private set; }

    /// <summary>What the current segment holds, without its length.</summary>
    public ReadOnlySpan<byte> Content { get; private set; }

    /// <summary>Goes to the next segment.</summary>
    /// <param name="afterScan">Bytes that are left of entropy-coded data may come before it.</param>
    public void Next(bool afterScan)
    {
        int at = FindMarker(data, Position);
        if (at >= data.Length)
        {
            throw ImageException.Damaged(source, $"ends at byte {data.Length} without an end marker; it was cut off.");
        }

        // Fill bytes of 0xFF may stand before a marker (B.1.1.2); anything else may not.
        if (!afterScan && data[Position..at].ContainsAnyExcept((byte)0xFF))
        {
            throw ImageException.Damaged(source, $"expected a marker at byte {Position}, found {data[Position]:X2}.");
        }

        Start = at;
        Marker = data[at + 1];
        Position = at + 2;
        Content = default;
        if (Marker is JpegMarker.End or JpegMarker.Start or JpegMarker.Temporary or (>= JpegMarker.FirstRestart and <= JpegMarker.LastRestart))
        {
            return;
        }

        int length = Position + 2 <= data.Length ? BinaryPrimitives.ReadUInt16BigEndian(data[Position..]) : 0;
        if (length < 2 || length > data.Length - Position)
        {
            throw ImageException.Damaged(source, $"segment {Marker:X2} at byte {Start} has length {length}, expected 2 to {data.Length - Position}.");
        }

        Content = data.Slice(Position + 2, length - 2);
        Position += length;
    }

    public readonly ImageException Damaged(string finding) => ImageException.Damaged(source, $"segment {Marker:X2} at byte {Start}: {finding}");

    /// <summary>Where the next marker begins: 0xFF and a byte that is neither 0 nor 0xFF; the length of the data when there is none.</summary>
    public static int FindMarker(ReadOnlySpan<byte> data, int from)
    {
        while (true)
        {
            int skip = data[from..].IndexOf((byte)0xFF);
            if (skip < 0 || from + skip + 1 >= data.Length)
            {
                return data.Length;
            }

            from += skip;
            if (data[from + 1] is not (0 or 0xFF))
            {
                return from;
            }

            from++;
        }
    }
}

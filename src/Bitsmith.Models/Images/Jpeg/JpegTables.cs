using System.Buffers.Binary;

namespace Bitsmith.Models.Images.Jpeg;

/// <summary>The tables that a JPEG file defines before its scans: quantization, Huffman codes, restart interval.</summary>
internal sealed class JpegTables
{
    private const int Slots = 4;
    private readonly ushort[]?[] quantization = new ushort[Slots][];
    private readonly HuffmanTable?[] dc = new HuffmanTable[Slots];
    private readonly HuffmanTable?[] ac = new HuffmanTable[Slots];

    /// <summary>Natural (row-major) index of the k-th coefficient in zigzag order (ITU-T T.81, figure A.6).</summary>
    public static ReadOnlySpan<byte> ZigZag =>
    [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
        12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
        35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
        58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];

    /// <summary>MCUs between restart markers; 0 for none.</summary>
    public int RestartInterval { get; private set; }

    /// <summary>A quantization table in natural order, or null where the file has not defined it.</summary>
    public ushort[]? Quantization(int slot) => quantization[slot];

    public HuffmanTable? Dc(int slot) => slot < Slots ? dc[slot] : null;

    public HuffmanTable? Ac(int slot) => slot < Slots ? ac[slot] : null;

    /// <summary>Reads a DQT segment (B.2.4.1).</summary>
    public void DefineQuantization(in JpegSegments segments)
    {
        ReadOnlySpan<byte> rest = segments.Content;
        while (!rest.IsEmpty)
        {
            int wide = rest[0] >> 4, slot = rest[0] & 15, length = 1 + (64 * (wide + 1));
            if (wide > 1 || slot >= Slots || rest.Length < length)
            {
                throw segments.Damaged($"quantization table {slot} of precision {wide} with {rest.Length} bytes left, expected table 0 to 3, precision 0 or 1, and {length} bytes.");
            }

            ushort[] table = new ushort[64];
            for (int k = 0; k < table.Length; k++)
            {
                table[ZigZag[k]] = wide == 0 ? rest[1 + k] : BinaryPrimitives.ReadUInt16BigEndian(rest[(1 + (2 * k))..]);
            }

            quantization[slot] = table;
            rest = rest[length..];
        }
    }

    /// <summary>Reads a DHT segment (B.2.4.2).</summary>
    public void DefineHuffman(in JpegSegments segments)
    {
        const int Counts = 16;
        ReadOnlySpan<byte> rest = segments.Content;
        while (!rest.IsEmpty)
        {
            int kind = rest[0] >> 4, slot = rest[0] & 15;
            int symbols = 0;
            for (int i = 1; i <= Counts && i < rest.Length; i++)
            {
                symbols += rest[i];
            }

            if (kind > 1 || slot >= Slots || symbols > 256 || rest.Length < 1 + Counts + symbols)
            {
                throw segments.Damaged($"Huffman table {slot} of class {kind} with {symbols} codes and {rest.Length} bytes left is not possible.");
            }

            HuffmanTable? table = HuffmanTable.Create(rest.Slice(1, Counts), rest.Slice(1 + Counts, symbols));
            (kind == 0 ? dc : ac)[slot] = table ?? throw segments.Damaged($"Huffman table {slot} of class {kind} has more codes than their lengths allow.");
            rest = rest[(1 + Counts + symbols)..];
        }
    }

    /// <summary>Reads a DRI segment (B.2.4.4).</summary>
    public void DefineRestart(in JpegSegments segments)
    {
        if (segments.Content.Length != 2)
        {
            throw segments.Damaged($"a restart interval of {segments.Content.Length} bytes, expected 2.");
        }

        RestartInterval = BinaryPrimitives.ReadUInt16BigEndian(segments.Content);
    }
}

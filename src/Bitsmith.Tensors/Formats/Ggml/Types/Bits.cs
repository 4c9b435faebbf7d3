using System.Buffers.Binary;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>Packings that several types share.</summary>
internal static class Bits
{
    /// <summary>Code i of 32: byte j holds codes j (low nibble) and j + 16.</summary>
    public static int Nibble(ReadOnlySpan<byte> bytes, int i) => i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;

    /// <summary>Packs 32 codes for <see cref="Nibble"/>; only their lower four bits count.</summary>
    public static void PackNibbles(ReadOnlySpan<int> codes, Span<byte> bytes)
    {
        for (int j = 0; j < 16; j++)
        {
            bytes[j] = (byte)((codes[j] & 15) | (codes[j + 16] << 4));
        }
    }

    /// <summary>Code i of 32: a word with their fifth bits, then the lower four as <see cref="Nibble"/>.</summary>
    public static int FiveBits(ReadOnlySpan<byte> bytes, int i) =>
        Nibble(bytes[4..], i) | ((int)((BinaryPrimitives.ReadUInt32LittleEndian(bytes) >> i) & 1) << 4);

    /// <summary>Packs 32 codes for <see cref="FiveBits"/>.</summary>
    public static void PackFiveBits(ReadOnlySpan<int> codes, Span<byte> bytes)
    {
        uint fifth = 0;
        for (int i = 0; i < 32; i++)
        {
            fifth |= (uint)(codes[i] >> 4) << i;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(bytes, fifth);
        PackNibbles(codes, bytes[4..]);
    }

    /// <summary>
    /// Two bits of value i of 256: in each half of 128, byte l of 32 holds values l, l + 32, l + 64 and l + 96 from its low bits up.
    /// </summary>
    public static int Pair(ReadOnlySpan<byte> bytes, int i) => (bytes[(i / 128 * 32) + (i % 32)] >> (i % 128 / 32 * 2)) & 3;

    /// <summary>Packs the two lower bits of 256 codes for <see cref="Pair"/>.</summary>
    public static void PackPairs(ReadOnlySpan<int> codes, Span<byte> bytes)
    {
        bytes[..64].Clear();
        for (int i = 0; i < 256; i++)
        {
            bytes[(i / 128 * 32) + (i % 32)] |= (byte)((codes[i] & 3) << (i % 128 / 32 * 2));
        }
    }

    /// <summary>Packs four-bit scales, two to a byte, the first in the low nibble.</summary>
    public static void PackScalePairs(ReadOnlySpan<int> scales, Span<byte> bytes)
    {
        for (int i = 0; i < scales.Length; i += 2)
        {
            bytes[i / 2] = (byte)(scales[i] | (scales[i + 1] << 4));
        }
    }
}

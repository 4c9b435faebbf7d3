using System.Buffers.Binary;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>Packings that several types share.</summary>
internal static class Bits
{
    /// <summary>Code i of 32: byte j holds codes j (low nibble) and j + 16.</summary>
    public static int Nibble(ReadOnlySpan<byte> bytes, int i) => i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;

    /// <summary>Packs 32 codes for <see cref="Nibble"/>; only their lower four bits count.</summary>
    public static void PackNibbles<TLanes>(ReadOnlySpan<byte> codes, Span<byte> bytes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes nibble = TLanes.Broadcast(15);
        TLanes.Store8((TLanes.Load8(in codes[0]) & nibble) | ((TLanes.Load8(in codes[16]) & nibble) << 4), ref bytes[0]);
    }

    /// <summary>Code i of 32: a word with their fifth bits, then the lower four as <see cref="Nibble"/>.</summary>
    public static int FiveBits(ReadOnlySpan<byte> bytes, int i) =>
        Nibble(bytes[4..], i) | ((int)((BinaryPrimitives.ReadUInt32LittleEndian(bytes) >> i) & 1) << 4);

    /// <summary>Packs 32 codes for <see cref="FiveBits"/>.</summary>
    public static void PackFiveBits<TLanes>(ReadOnlySpan<byte> codes, Span<byte> bytes)
        where TLanes : struct, ILanes16<TLanes>
    {
        uint fifth = 0;
        for (int i = 0; i < 32; i++)
        {
            fifth |= (uint)(codes[i] >> 4) << i;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(bytes, fifth);
        PackNibbles<TLanes>(codes, bytes[4..]);
    }

    /// <summary>
    /// Two bits of value i of 256: in each half of 128, byte l of 32 holds values l, l + 32, l + 64 and l + 96 from its low bits up.
    /// </summary>
    public static int Pair(ReadOnlySpan<byte> bytes, int i) => (bytes[(i / 128 * 32) + (i % 32)] >> (i % 128 / 32 * 2)) & 3;

    /// <summary>Packs the lower four bits of 256 codes: byte l of each chunk c of 32 holds codes 64c + l (low nibble) and 64c + 32 + l.</summary>
    public static void PackNibblePairs<TLanes>(ReadOnlySpan<byte> codes, Span<byte> bytes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes nibble = TLanes.Broadcast(15);
        for (int place = 0; place < 128; place += LaneMath.Width)
        {
            int first = (place / 32 * 64) + (place % 32);
            TLanes.Store8((TLanes.Load8(in codes[first]) & nibble) | ((TLanes.Load8(in codes[first + 32]) & nibble) << 4), ref bytes[place]);
        }
    }

    /// <summary>Packs two bits of 256 codes, from bit <paramref name="shift"/> up, for <see cref="Pair"/>.</summary>
    public static void PackPairs<TLanes>(ReadOnlySpan<byte> codes, int shift, Span<byte> bytes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes pair = TLanes.Broadcast(3);
        for (int place = 0; place < 64; place += LaneMath.Width)
        {
            int first = (place / 32 * 128) + (place % 32);
            TLanes packed = TLanes.Broadcast(0);
            for (int k = 0; k < 4; k++)
            {
                packed |= ((TLanes.Load8(in codes[first + (32 * k)]) >>> shift) & pair) << (2 * k);
            }

            TLanes.Store8(packed, ref bytes[place]);
        }
    }

    /// <summary>Packs codes of two bits, four consecutive ones to a byte, the first lowest.</summary>
    public static void PackFours(ReadOnlySpan<byte> codes, Span<byte> bytes)
    {
        for (int i = 0; i < codes.Length; i += 4)
        {
            bytes[i / 4] = (byte)(codes[i] | (codes[i + 1] << 2) | (codes[i + 2] << 4) | (codes[i + 3] << 6));
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

using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>Steps that several types share when they unpack their blocks to signed bytes and factors of sixteen.</summary>
internal static class Unpacking
{
    /// <summary>Values that share a factor.</summary>
    public const int Group = 16;

    // Byte b: eight bytes, all ones where bit i of b is set.
    private static readonly ulong[] Masks = [.. Enumerable.Range(0, 256).Select(bits => Enumerable.Range(0, 8).Aggregate(0UL, (mask, i) => ((bits >> i) & 1) != 0 ? mask | (0xFFUL << (8 * i)) : mask))];

    /// <summary>32 codes of 4 bits, byte j holding codes j and j + 16, less an offset.</summary>
    public static void Nibbles(ReadOnlySpan<byte> bytes, int offset, Span<sbyte> codes)
    {
        Vector128<byte> both = Vector128.Create(bytes);
        Vector128<sbyte> shift = Vector128.Create((sbyte)offset);
        ((both & Vector128.Create((byte)15)).AsSByte() - shift).CopyTo(codes);
        ((both >>> 4).AsSByte() - shift).CopyTo(codes[16..]);
    }

    /// <summary>As <see cref="Nibbles"/>, with a level for each code.</summary>
    public static void NibbleLevels(ReadOnlySpan<byte> bytes, Vector128<sbyte> levels, Span<sbyte> codes)
    {
        Vector128<byte> both = Vector128.Create(bytes);
        Vector128.ShuffleNative(levels, (both & Vector128.Create((byte)15)).AsSByte()).CopyTo(codes);
        Vector128.ShuffleNative(levels, (both >>> 4).AsSByte()).CopyTo(codes[16..]);
    }

    /// <summary>32 codes of 5 bits, a word with their fifth bits and then the lower four as for <see cref="Nibbles"/>, less an offset.</summary>
    public static void FiveBits(ReadOnlySpan<byte> bytes, int offset, Span<sbyte> codes)
    {
        Vector128<byte> both = Vector128.Create(bytes[4..]), fifth = Vector128.Create((byte)16);
        uint upper = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        Vector128<sbyte> shift = Vector128.Create((sbyte)offset);
        Vector128<byte> low = Vector128.Create(Masks[upper & 255], Masks[(upper >> 8) & 255]).AsByte(), high = Vector128.Create(Masks[(upper >> 16) & 255], Masks[upper >> 24]).AsByte();
        (((both & Vector128.Create((byte)15)) | (low & fifth)).AsSByte() - shift).CopyTo(codes);
        (((both >>> 4) | (high & fifth)).AsSByte() - shift).CopyTo(codes[16..]);
    }

    /// <summary>256 codes of 2 bits, packed as <see cref="Types.Bits.Pair"/>, less an offset.</summary>
    public static void Pairs(ReadOnlySpan<byte> bytes, int offset, Span<sbyte> codes)
    {
        Vector256<byte> pair = Vector256.Create((byte)3);
        Vector256<sbyte> shift = Vector256.Create((sbyte)offset);
        for (int k = 0; k < 8; k++)
        {
            (((Vector256.Create(bytes[(k / 4 * 32)..]) >>> (k % 4 * 2)) & pair).AsSByte() - shift).CopyTo(codes[(32 * k)..]);
        }
    }

    /// <summary>factors[i] = d · integers[i], for sixteen.</summary>
    public static void Factors(Vector128<sbyte> integers, float d, Span<float> factors)
    {
        Vector128<float> step = Vector128.Create(d);
        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(integers);
        Four(Vector128.WidenLower(low), step, factors);
        Four(Vector128.WidenUpper(low), step, factors[4..]);
        Four(Vector128.WidenLower(high), step, factors[8..]);
        Four(Vector128.WidenUpper(high), step, factors[12..]);

        static void Four(Vector128<int> integers, Vector128<float> step, Span<float> factors) => (Vector128.ConvertToSingle(integers) * step).CopyTo(factors);
    }

    /// <summary>As <see cref="Factors"/> for eight integers, each of which is the factor of two groups.</summary>
    public static void PairFactors(ulong integers, float d, Span<float> factors) =>
        Factors(Vector128.ShuffleNative(Vector128.CreateScalar(integers).AsSByte(), Vector128.Create((sbyte)0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7)), d, factors);

    /// <summary>Eight values as the bytes of a word, negated where their sign bit is set. None of them is zero.</summary>
    public static ulong Signed(ulong values, int signs)
    {
        ulong mask = Masks[signs];
        return (values ^ mask) + (mask & 0x0101_0101_0101_0101);
    }
}

using System.Buffers.Binary;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// Eight scales and eight minima of six bits in twelve bytes (Q4_K, Q5_K): bytes 0 to 3 hold scales 0 to 3, bytes 4 to 7 minima 0 to 3, each with two upper
/// bits of scale or minimum 4 to 7 on top; bytes 8 to 11 hold the lower nibbles of scales and minima 4 to 7.
/// </summary>
internal static class SixBitPairs
{
    public static (int Scale, int Minimum) Read(ReadOnlySpan<byte> bytes, int group) => group < 4
        ? (bytes[group] & 63, bytes[group + 4] & 63)
        : ((bytes[group + 4] & 15) | (bytes[group - 4] >> 6 << 4), (bytes[group + 4] >> 4) | (bytes[group] >> 6 << 4));

    /// <summary>All eight scales and minima, a byte each.</summary>
    public static void Read(ReadOnlySpan<byte> bytes, out ulong scales, out ulong minima)
    {
        const uint Six = 0x3F3F_3F3F, Nibble = 0x0F0F_0F0F, Upper = 0x3030_3030;
        uint first = BinaryPrimitives.ReadUInt32LittleEndian(bytes), second = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]), third = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        scales = (first & Six) | ((ulong)((third & Nibble) | ((first >> 2) & Upper)) << 32);
        minima = (second & Six) | ((ulong)(((third >> 4) & Nibble) | ((second >> 2) & Upper)) << 32);
    }

    public static void Write(ReadOnlySpan<int> scales, ReadOnlySpan<int> minima, Span<byte> bytes)
    {
        for (int i = 0; i < 4; i++)
        {
            bytes[i] = (byte)(scales[i] | (scales[i + 4] >> 4 << 6));
            bytes[i + 4] = (byte)(minima[i] | (minima[i + 4] >> 4 << 6));
            bytes[i + 8] = (byte)((scales[i + 4] & 15) | ((minima[i + 4] & 15) << 4));
        }
    }
}

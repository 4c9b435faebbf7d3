using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>Scale and minimum (a nibble each) for each 16 values, 256 codes of 2 bits, d and m (binary16). x = d scale code - m minimum.</summary>
internal sealed class Q2_K() : GgmlFormat(GgmlType.Q2_K, 256, 84)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block[80..]), HalfScale.Read(block[82..]));
        for (int i = 0; i < 256; i++)
        {
            byte scales = block[i / 16];
            values[i] = (d * (scales & 15) * Bits.Pair(block[16..], i)) - (m * (scales >> 4));
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[256], scales = stackalloc int[16], minima = stackalloc int[16];
        (float d, float m) = MinimumBlock.Encode(values, weights, 3, 15, scales, minima, codes);
        for (int group = 0; group < 16; group++)
        {
            block[group] = (byte)(scales[group] | (minima[group] << 4));
        }

        Bits.PackPairs(codes, block[16..]);
        HalfScale.Write(block[80..], d);
        HalfScale.Write(block[82..], m);
    }
}

using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d and m (binary16), 32 codes of 5 bits as in Q5_0. x = d code + m.</summary>
internal sealed class Q5_1() : GgmlFormat(GgmlType.Q5_1, 32, 24)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block), HalfScale.Read(block[2..]));
        for (int i = 0; i < 32; i++)
        {
            values[i] = (d * Bits.FiveBits(block[4..], i)) + m;
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[32];
        (float d, float m) = AffineBlock.Encode(values, weights, 31, codes);
        HalfScale.Write(block, d);
        HalfScale.Write(block[2..], m);
        Bits.PackFiveBits(codes, block[4..]);
    }
}

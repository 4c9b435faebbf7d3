using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), the fifth bits of 32 codes, and their lower four as in Q4_0. x = d (code - 16).</summary>
internal sealed class Q5_0() : GgmlFormat(GgmlType.Q5_0, 32, 22)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * (Bits.FiveBits(block[2..], i) - 16);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[32];
        HalfScale.Write(block, LevelBlock.Encode<Int5Levels>(values, weights, codes));
        Bits.PackFiveBits(codes, block[2..]);
    }
}

using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 64 codes of 2 bits, four to a byte from its low bits up. x = d (code - 1); a negative d turns the levels round.</summary>
internal sealed class Q2_0() : GgmlFormat(GgmlType.Q2_0, 64, 18)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 64; i++)
        {
            values[i] = d * (((block[2 + (i / 4)] >> (i % 4 * 2)) & 3) - 1);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[64];
        block.Clear();
        HalfScale.Write(block, LevelBlock.Encode<MinusOneToTwoLevels>(values, weights, codes));
        for (int i = 0; i < 64; i++)
        {
            block[2 + (i / 4)] |= (byte)(codes[i] << (i % 4 * 2));
        }
    }
}

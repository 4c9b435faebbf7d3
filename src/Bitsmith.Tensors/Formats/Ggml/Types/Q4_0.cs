using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 32 codes of 4 bits: byte j holds values j and j + 16. x = d (code - 8).</summary>
internal sealed class Q4_0() : GgmlFormat(GgmlType.Q4_0, 32, 18)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * (Bits.Nibble(block[2..], i) - 8);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[32];
        HalfScale.Write(block, LevelBlock.Encode<Int4Levels>(values, weights, codes));
        Bits.PackNibbles(codes, block[2..]);
    }
}

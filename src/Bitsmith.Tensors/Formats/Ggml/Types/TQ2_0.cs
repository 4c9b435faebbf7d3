using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>256 codes of 2 bits packed as <see cref="Bits.Pair"/>, d (binary16). x = d (code - 1); the encoder writes the codes 0, 1 and 2.</summary>
internal sealed class TQ2_0() : GgmlFormat(GgmlType.TQ2_0, 256, 66)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block[64..]);
        for (int i = 0; i < 256; i++)
        {
            values[i] = d * (Bits.Pair(block, i) - 1);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[256];
        HalfScale.Write(block[64..], Ternary.Encode(values, weights, codes));
        Bits.PackPairs(codes, block);
    }
}

using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 32 codes of 4 bits as in Q4_0. x = d level[code], see <see cref="Iq4Levels"/>.</summary>
internal sealed class IQ4_NL() : GgmlFormat(GgmlType.IQ4_NL, 32, 18)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * Iq4Levels.Value(Bits.Nibble(block[2..], i));
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[32];
        HalfScale.Write(block, LevelBlock.Encode<Iq4Levels>(values, weights, codes));
        Bits.PackNibbles(codes, block[2..]);
    }
}

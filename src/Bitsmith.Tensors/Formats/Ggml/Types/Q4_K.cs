using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d and m (binary16), eight six-bit scales and minima (<see cref="SixBitPairs"/>), 256 codes of 4 bits: byte l of chunk c holds values 64c + l and
/// 64c + 32 + l. x = d scale code - m minimum.
/// </summary>
internal sealed class Q4_K() : GgmlFormat(GgmlType.Q4_K, 256, 144)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block), HalfScale.Read(block[2..]));
        for (int group = 0; group < 8; group++)
        {
            (int scale, int minimum) = SixBitPairs.Read(block[4..], group);
            (float step, float offset) = (d * scale, m * minimum);
            ReadOnlySpan<byte> bytes = block.Slice(16 + (group / 2 * 32), 32);
            for (int l = 0; l < 32; l++)
            {
                values[(32 * group) + l] = (step * ((bytes[l] >> (group % 2 * 4)) & 15)) - offset;
            }
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[256], scales = stackalloc int[8], minima = stackalloc int[8];
        (float d, float m) = MinimumBlock.Encode(values, weights, 15, 63, scales, minima, codes);
        HalfScale.Write(block, d);
        HalfScale.Write(block[2..], m);
        SixBitPairs.Write(scales, minima, block[4..]);
        for (int i = 0; i < 128; i++)
        {
            int first = (i / 32 * 64) + (i % 32);
            block[16 + i] = (byte)(codes[first] | (codes[first + 32] << 4));
        }
    }
}

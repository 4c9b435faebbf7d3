using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>As Q4_K, with a fifth bit of each code: bit g of byte l of 32 belongs to value 32g + l.</summary>
internal sealed class Q5_K() : GgmlFormat(GgmlType.Q5_K, 256, 176)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block), HalfScale.Read(block[2..]));
        for (int group = 0; group < 8; group++)
        {
            (int scale, int minimum) = SixBitPairs.Read(block[4..], group);
            (float step, float offset) = (d * scale, m * minimum);
            ReadOnlySpan<byte> fifth = block.Slice(16, 32), bytes = block.Slice(48 + (group / 2 * 32), 32);
            for (int l = 0; l < 32; l++)
            {
                int code = ((bytes[l] >> (group % 2 * 4)) & 15) | (((fifth[l] >> group) & 1) << 4);
                values[(32 * group) + l] = (step * code) - offset;
            }
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[256], scales = stackalloc int[8], minima = stackalloc int[8];
        (float d, float m) = MinimumBlock.Encode(values, weights, 31, 63, scales, minima, codes);
        HalfScale.Write(block, d);
        HalfScale.Write(block[2..], m);
        SixBitPairs.Write(scales, minima, block[4..]);
        block.Slice(16, 32).Clear();
        for (int i = 0; i < 256; i++)
        {
            block[16 + (i % 32)] |= (byte)(codes[i] >> 4 << (i / 32));
        }

        for (int i = 0; i < 128; i++)
        {
            int first = (i / 32 * 64) + (i % 32);
            block[48 + i] = (byte)((codes[first] & 15) | (codes[first + 32] << 4));
        }
    }
}

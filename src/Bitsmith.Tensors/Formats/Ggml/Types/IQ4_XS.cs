using System.Buffers.Binary;
using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), the upper two bits of eight six-bit scales in a word, their lower nibbles in four bytes, then 32 codes of 4 bits for each scale as in Q4_0.
/// x = d (scale - 32) level[code], see <see cref="Iq4Levels"/>.
/// </summary>
internal sealed class IQ4_XS() : GgmlFormat(GgmlType.IQ4_XS, 256, 136)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        int upper = BinaryPrimitives.ReadUInt16LittleEndian(block[2..]);
        for (int group = 0; group < 8; group++)
        {
            int scale = ((block[4 + (group / 2)] >> (group % 2 * 4)) & 15) | (((upper >> (2 * group)) & 3) << 4);
            float step = d * (scale - 32);
            for (int i = 0; i < 32; i++)
            {
                values[(32 * group) + i] = step * Iq4Levels.Value(Bits.Nibble(block[(8 + (16 * group))..], i));
            }
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[256], scales = stackalloc int[8];
        float d = LevelBlock.Encode<Iq4Levels>(values, weights, 32, new ScaleCodes(-32, 31), scales, codes);
        int upper = 0;
        block[4..8].Clear();
        for (int group = 0; group < 8; group++)
        {
            int scale = scales[group] + 32;
            upper |= scale >> 4 << (2 * group);
            block[4 + (group / 2)] |= (byte)((scale & 15) << (group % 2 * 4));
            Bits.PackNibbles(codes.Slice(32 * group, 32), block[(8 + (16 * group))..]);
        }

        HalfScale.Write(block, d);
        BinaryPrimitives.WriteUInt16LittleEndian(block[2..], (ushort)upper);
    }
}

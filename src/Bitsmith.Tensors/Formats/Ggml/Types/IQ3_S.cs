using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), the lower eight bits of the point number for each four values, their ninth bits (eight to a byte), a byte of signs for each eight values, a
/// four-bit scale for each 32 values. x = d (2 scale + 1) * point * sign.
/// </summary>
internal sealed class IQ3_S() : GgmlFormat(GgmlType.IQ3_S, 256, 110)
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 2);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int quad = 0; quad < 64; quad++)
        {
            int point = block[2 + quad] | (((block[66 + (quad / 8)] >> (quad % 8)) & 1) << 8), scale = (block[106 + (quad / 16)] >> (quad / 8 % 2 * 4)) & 15;
            Signs.Apply(d * (1 + (2 * scale)), Grid.Iq3S.Point(point), block[74 + (quad / 2)] >> (quad % 2 * 4), values.Slice(4 * quad, 4));
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            int ninth = blocks[66 + (run / 4)] >> (run % 4 * 2), scale = (blocks[106 + (run / 8)] >> (run / 4 % 2 * 4)) & 15;
            scales[run / 2] = d * (1 + (2 * scale));
            ulong point = Grid.Iq3S.Bytes(blocks[2 + (2 * run)] | ((ninth & 1) << 8)) | (Grid.Iq3S.Bytes(blocks[3 + (2 * run)] | ((ninth & 2) << 7)) << 32);
            words[run] = Unpacking.Signed(point, blocks[74 + run]);
        }
    }

    private protected override void EncodeRow(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
    {
        for (; values.Length > 0; values = values[BlockValues..], weights = weights[BlockValues..], blocks = blocks[BlockBytes..])
        {
            EncodeBlock(values[..BlockValues], weights[..BlockValues], blocks[..BlockBytes]);
        }
    }

    private static void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> scales = stackalloc int[8];
        MagnitudeGroups groups = new(values, weights, 32, Grid.Iq3S, evenSigns: false);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        HalfScale.Write(block, d);
        block.Slice(66, 8).Clear();
        for (int run = 0; run < 32; run++)
        {
            (int first, int second, byte signs) = groups.Assign(8 * run, d * Scales.Factor(scales[run / 4]));
            (block[2 + (2 * run)], block[3 + (2 * run)], block[74 + run]) = ((byte)first, (byte)second, signs);
            block[66 + (run / 4)] |= (byte)(((first >> 8) | (second >> 8 << 1)) << (run % 4 * 2));
        }

        Bits.PackScalePairs(scales, block[106..]);
    }
}

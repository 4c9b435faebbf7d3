using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), then for each eight values the lower eight bits of the point number, and eight sign bits; two upper bits of the point number, four to a byte;
/// a four-bit scale for each 16 values. x = d (scale + 1/2) / 4 * point * sign.
/// </summary>
internal sealed class IQ2_S() : GgmlFormat(GgmlType.IQ2_S, 256, 82)
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 0.25f);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int run = 0; run < 32; run++)
        {
            int point = block[2 + run] | (((block[66 + (run / 4)] >> (run % 4 * 2)) & 3) << 8), scale = (block[74 + (run / 4)] >> (run / 2 % 2 * 4)) & 15;
            Signs.Apply(d * (0.5f + scale) * 0.25f, Grid.Iq2S.Point(point), block[34 + run], values.Slice(8 * run, 8));
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            int point = blocks[2 + run] | (((blocks[66 + (run / 4)] >> (run % 4 * 2)) & 3) << 8), scale = (blocks[74 + (run / 4)] >> (run / 2 % 2 * 4)) & 15;
            scales[run / 2] = d * (0.5f + scale) * 0.25f;
            words[run] = Unpacking.Signed(Grid.Iq2S.Bytes(point), blocks[34 + run]);
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
        Span<int> scales = stackalloc int[16];
        MagnitudeGroups groups = new(values, weights, 16, Grid.Iq2S, evenSigns: false);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        HalfScale.Write(block, d);
        block.Slice(66, 8).Clear();
        for (int run = 0; run < 32; run++)
        {
            (int point, _, byte signs) = groups.Assign(8 * run, d * Scales.Factor(scales[run / 2]));
            block[2 + run] = (byte)point;
            block[34 + run] = signs;
            block[66 + (run / 4)] |= (byte)(point >> 8 << (run % 4 * 2));
        }

        Bits.PackScalePairs(scales, block[74..]);
    }
}

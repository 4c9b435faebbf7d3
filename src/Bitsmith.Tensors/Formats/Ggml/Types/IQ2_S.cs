using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), then for each eight values the lower eight bits of the point number, and eight sign bits; two upper bits of the point number, four to a byte;
/// a four-bit scale for each 16 values. x = d (scale + 1/2) / 4 * point * sign.
/// </summary>
internal sealed class IQ2_S() : GgmlFormat(GgmlType.IQ2_S, 256, 82), ILaneEncoder
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

    static int ILaneEncoder.GroupSize => 16;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ2_S>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[values.Length / 256], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[lanes.Count], points = stackalloc int[3 * LaneGroups.Width];
        Span<int> first = points[..LaneGroups.Width], second = points.Slice(LaneGroups.Width, LaneGroups.Width), signs = points[(2 * LaneGroups.Width)..];
        ScaleSearch<TLanes, MagnitudeGroups<Iq2SGrid>>.Find(lanes, Scales, d, scales, steps);
        TLanes inverse = lanes.Inverse<TLanes>(steps);
        blocks.Clear();
        for (int i = 0; i < 2; i++)
        {
            MagnitudeGroups<Iq2SGrid>.Assign(lanes, i, inverse, first, second, signs);
            for (int group = 0; group < lanes.Count; group++)
            {
                Span<byte> block = blocks.Slice(group / 16 * 82, 82);
                int run = (group % 16 * 2) + i;
                (block[2 + run], block[34 + run]) = ((byte)first[group], (byte)signs[group]);
                block[66 + (run / 4)] |= (byte)(first[group] >> 8 << (run % 4 * 2));
            }
        }

        for (int i = 0; i < d.Length; i++)
        {
            HalfScale.Write(blocks[(82 * i)..], d[i]);
            Bits.PackScalePairs(scales.Slice(16 * i, 16), blocks[((82 * i) + 74)..]);
        }
    }
}

using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), the lower eight bits of the point number for each four values, their ninth bits (eight to a byte), a byte of signs for each eight values, a
/// four-bit scale for each 32 values. x = d (2 scale + 1) * point * sign.
/// </summary>
internal sealed class IQ3_S() : GgmlFormat(GgmlType.IQ3_S, 256, 110), ILaneEncoder
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

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ3_S>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[values.Length / 256], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[lanes.Count], points = stackalloc int[3 * LaneGroups.Width];
        Span<int> first = points[..LaneGroups.Width], second = points.Slice(LaneGroups.Width, LaneGroups.Width), signs = points[(2 * LaneGroups.Width)..];
        ScaleSearch<TLanes, MagnitudeGroups<Iq3SGrid>>.Find(lanes, Scales, d, scales, steps);
        TLanes inverse = lanes.Inverse<TLanes>(steps);
        blocks.Clear();
        for (int i = 0; i < 4; i++)
        {
            MagnitudeGroups<Iq3SGrid>.Assign(lanes, i, inverse, first, second, signs);
            for (int group = 0; group < lanes.Count; group++)
            {
                Span<byte> block = blocks.Slice(group / 8 * 110, 110);
                int run = (group % 8 * 4) + i;
                (block[2 + (2 * run)], block[3 + (2 * run)], block[74 + run]) = ((byte)first[group], (byte)second[group], (byte)signs[group]);
                block[66 + (run / 4)] |= (byte)(((first[group] >> 8) | (second[group] >> 8 << 1)) << (run % 4 * 2));
            }
        }

        for (int i = 0; i < d.Length; i++)
        {
            HalfScale.Write(blocks[(110 * i)..], d[i]);
            Bits.PackScalePairs(scales.Slice(8 * i, 8), blocks[((110 * i) + 106)..]);
        }
    }
}

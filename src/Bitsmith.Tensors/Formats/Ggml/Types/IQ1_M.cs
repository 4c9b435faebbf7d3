using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// The lower eight bits of the point number for each eight values, a nibble for each with three upper bits and the sign of the shift, then four words of 16 bits
/// with four three-bit scales each, one for each 16 values; the words' top nibbles make up d (binary16), the lowest first. x = d (2 scale + 1) (point ± 1/8).
/// </summary>
internal sealed class IQ1_M() : GgmlFormat(GgmlType.IQ1_M, 256, 56), ILaneEncoder
{
    private static readonly ScaleCodes Scales = new(0, 7, 0.5f, 2);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Scale(block);
        for (int run = 0; run < 32; run++)
        {
            int nibble = (block[32 + (run / 2)] >> (run % 2 * 4)) & 15;
            int scale = (BinaryPrimitives.ReadUInt16LittleEndian(block[(48 + (run / 8 * 2))..]) >> (run / 2 % 4 * 3)) & 7;
            ReadOnlySpan<float> point = Grid.Iq1.Point(block[run] | ((nibble & 7) << 8));
            float step = d * ((2 * scale) + 1), shift = (nibble & 8) != 0 ? -ShiftedGroups<ShiftOf8>.Shift : ShiftedGroups<ShiftOf8>.Shift;
            for (int i = 0; i < 8; i++)
            {
                values[(8 * run) + i] = step * (point[i] + shift);
            }
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = Scale(blocks) / 8;
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            int nibble = (blocks[32 + (run / 2)] >> (run % 2 * 4)) & 15;
            int scale = (BinaryPrimitives.ReadUInt16LittleEndian(blocks[(48 + (run / 8 * 2))..]) >> (run / 2 % 4 * 3)) & 7;
            scales[run / 2] = d * ((2 * scale) + 1);
            words[run] = ShiftedPoints.Eighths(blocks[run] | ((nibble & 7) << 8), (nibble & 8) != 0);
        }
    }

    static int ILaneEncoder.GroupSize => 16;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ1_M>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[1], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[16], points = stackalloc int[LaneGroups.Width], down = stackalloc int[LaneGroups.Width];
        ScaleSearch<TLanes, ShiftedGroups<ShiftOf8>>.Find(lanes, Scales, d, scales, steps);
        TLanes inverse = lanes.Inverse<TLanes>(steps);
        blocks.Clear();
        for (int i = 0; i < 2; i++)
        {
            ShiftedGroups<ShiftOf8>.Assign(lanes, i, inverse, points, down);
            for (int group = 0; group < 16; group++)
            {
                blocks[(2 * group) + i] = (byte)points[group];
                blocks[32 + group] |= (byte)(((points[group] >> 8) | (down[group] << 3)) << (4 * i));
            }
        }

        int bits = BitConverter.HalfToUInt16Bits(HalfScale.Of(d[0]));
        for (int i = 0; i < 4; i++)
        {
            int word = ((bits >> (4 * i)) & 15) << 12;
            for (int j = 0; j < 4; j++)
            {
                word |= scales[(4 * i) + j] << (3 * j);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(blocks[(48 + (2 * i))..], (ushort)word);
        }
    }

    private static float Scale(ReadOnlySpan<byte> block)
    {
        int bits = 0;
        for (int i = 0; i < 4; i++)
        {
            bits |= BinaryPrimitives.ReadUInt16LittleEndian(block[(48 + (2 * i))..]) >> 12 << (4 * i);
        }

        return (float)BitConverter.UInt16BitsToHalf((ushort)bits);
    }
}

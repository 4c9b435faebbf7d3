using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), the lower eight bits of the point number for each eight values, then for each 32 values a word of 16 bits: four times three upper bits, a
/// three-bit scale, and the sign of the shift. x = d (2 scale + 1) (point ± 1/8).
/// </summary>
internal sealed class IQ1_S() : GgmlFormat(GgmlType.IQ1_S, 256, 50), ILaneEncoder
{
    private static readonly ScaleCodes Scales = new(0, 7, 0.5f, 2);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int run = 0; run < 32; run++)
        {
            int word = BinaryPrimitives.ReadUInt16LittleEndian(block[(34 + (run / 4 * 2))..]);
            ReadOnlySpan<float> point = Grid.Iq1.Point(block[2 + run] | (((word >> (run % 4 * 3)) & 7) << 8));
            float step = d * ((2 * ((word >> 12) & 7)) + 1), shift = (word & 0x8000) != 0 ? -ShiftedGroups<ShiftOf32>.Shift : ShiftedGroups<ShiftOf32>.Shift;
            for (int i = 0; i < 8; i++)
            {
                values[(8 * run) + i] = step * (point[i] + shift);
            }
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        // Eight times the point, plus or minus one.
        float d = HalfScale.Read(blocks) / 8;
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            int word = BinaryPrimitives.ReadUInt16LittleEndian(blocks[(34 + (run / 4 * 2))..]);
            scales[run / 2] = d * ((2 * ((word >> 12) & 7)) + 1);
            words[run] = ShiftedPoints.Eighths(blocks[2 + run] | (((word >> (run % 4 * 3)) & 7) << 8), (word & 0x8000) != 0);
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ1_S>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[values.Length / 256], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[lanes.Count], points = stackalloc int[4 * LaneGroups.Width], down = stackalloc int[LaneGroups.Width];
        ScaleSearch<TLanes, ShiftedGroups<ShiftOf32>>.Find(lanes, Scales, d, scales, steps);
        ShiftedGroups<ShiftOf32>.Assign(lanes, 0, lanes.Inverse<TLanes>(steps), points, down);
        for (int group = 0; group < lanes.Count; group++)
        {
            Span<byte> block = blocks.Slice(group / 8 * 50, 50);
            HalfScale.Write(block, d[group / 8]);
            int word = (scales[group] << 12) | (down[group] << 15);
            for (int run = 0; run < 4; run++)
            {
                int point = points[(run * LaneGroups.Width) + group];
                block[2 + (4 * (group % 8)) + run] = (byte)point;
                word |= point >> 8 << (3 * run);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(block[(34 + (2 * (group % 8)))..], (ushort)word);
        }
    }
}

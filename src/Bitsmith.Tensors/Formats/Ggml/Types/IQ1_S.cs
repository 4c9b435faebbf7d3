using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), the lower eight bits of the point number for each eight values, then for each 32 values a word of 16 bits: four times three upper bits, a
/// three-bit scale, and the sign of the shift. x = d (2 scale + 1) (point ± 1/8).
/// </summary>
internal sealed class IQ1_S() : GgmlFormat(GgmlType.IQ1_S, 256, 50)
{
    private static readonly ScaleCodes Scales = new(0, 7, 0.5f, 2);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int run = 0; run < 32; run++)
        {
            int word = BinaryPrimitives.ReadUInt16LittleEndian(block[(34 + (run / 4 * 2))..]);
            ReadOnlySpan<float> point = Grid.Iq1.Point(block[2 + run] | (((word >> (run % 4 * 3)) & 7) << 8));
            float step = d * ((2 * ((word >> 12) & 7)) + 1), shift = (word & 0x8000) != 0 ? -ShiftedGroups.Shift : ShiftedGroups.Shift;
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

    private protected override void EncodeRow(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
    {
        for (; values.Length > 0; values = values[BlockValues..], weights = weights[BlockValues..], blocks = blocks[BlockBytes..])
        {
            EncodeBlock(values[..BlockValues], weights[..BlockValues], blocks[..BlockBytes]);
        }
    }

    private static void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> scales = stackalloc int[8], points = stackalloc int[4];
        ShiftedGroups groups = new(values, weights, 32, 32);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        HalfScale.Write(block, d);
        for (int group = 0; group < 8; group++)
        {
            bool down = groups.Assign(32 * group, d * Scales.Factor(scales[group]), points);
            int word = (scales[group] << 12) | (down ? 0x8000 : 0);
            for (int run = 0; run < 4; run++)
            {
                block[2 + (4 * group) + run] = (byte)points[run];
                word |= points[run] >> 8 << (3 * run);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(block[(34 + (2 * group))..], (ushort)word);
        }
    }
}

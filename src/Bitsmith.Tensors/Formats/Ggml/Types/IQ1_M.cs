using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// The lower eight bits of the point number for each eight values, a nibble for each with three upper bits and the sign of the shift, then four words of 16 bits
/// with four three-bit scales each, one for each 16 values; the words' top nibbles make up d (binary16), the lowest first. x = d (2 scale + 1) (point ± 1/8).
/// </summary>
internal sealed class IQ1_M() : GgmlFormat(GgmlType.IQ1_M, 256, 56)
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
            float step = d * ((2 * scale) + 1), shift = (nibble & 8) != 0 ? -ShiftedGroups.Shift : ShiftedGroups.Shift;
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

    private protected override void EncodeRow(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
    {
        for (; values.Length > 0; values = values[BlockValues..], weights = weights[BlockValues..], blocks = blocks[BlockBytes..])
        {
            EncodeBlock(values[..BlockValues], weights[..BlockValues], blocks[..BlockBytes]);
        }
    }

    private static void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> scales = stackalloc int[16], points = stackalloc int[1];
        ShiftedGroups groups = new(values, weights, 16, 8);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        block.Clear();
        for (int run = 0; run < 32; run++)
        {
            bool down = groups.Assign(8 * run, d * Scales.Factor(scales[run / 2]), points);
            block[run] = (byte)points[0];
            block[32 + (run / 2)] |= (byte)(((points[0] >> 8) | (down ? 8 : 0)) << (run % 2 * 4));
        }

        int bits = BitConverter.HalfToUInt16Bits(HalfScale.Of(d));
        for (int i = 0; i < 4; i++)
        {
            int word = ((bits >> (4 * i)) & 15) << 12;
            for (int j = 0; j < 4; j++)
            {
                word |= scales[(4 * i) + j] << (3 * j);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(block[(48 + (2 * i))..], (ushort)word);
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

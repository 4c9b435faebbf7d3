using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), a point number (a byte) for each four values, then for each 32 values a word with four times seven sign bits and a four-bit scale on top.
/// x = d (scale + 1/2) / 2 * point * sign.
/// </summary>
internal sealed class IQ3_XXS() : GgmlFormat(GgmlType.IQ3_XXS, 256, 98), ILaneEncoder
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 0.5f);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int run = 0; run < 32; run++)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(block[(66 + (run / 4 * 4))..]);
            float step = d * (0.5f + (word >> 28)) * 0.5f;
            int signs = EvenSigns.Expand((int)(word >> (run % 4 * 7)) & 127);
            Signs.Apply(step, Grid.Iq3Xxs.Point(block[2 + (2 * run)]), signs, values.Slice(8 * run, 4));
            Signs.Apply(step, Grid.Iq3Xxs.Point(block[3 + (2 * run)]), signs >> 4, values.Slice((8 * run) + 4, 4));
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(blocks[(66 + (run / 4 * 4))..]);
            scales[run / 2] = d * (0.5f + (word >> 28)) * 0.5f;
            ulong point = Grid.Iq3Xxs.Bytes(blocks[2 + (2 * run)]) | (Grid.Iq3Xxs.Bytes(blocks[3 + (2 * run)]) << 32);
            words[run] = Unpacking.Signed(point, EvenSigns.Expand((int)(word >> (run % 4 * 7)) & 127));
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ3_XXS>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[values.Length / 256], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[lanes.Count], points = stackalloc int[3 * LaneGroups.Width];
        Span<int> first = points[..LaneGroups.Width], second = points.Slice(LaneGroups.Width, LaneGroups.Width), signs = points[(2 * LaneGroups.Width)..];
        ScaleSearch<TLanes, MagnitudeGroups<Iq3XxsGrid>>.Find(lanes, Scales, d, scales, steps);
        TLanes inverse = lanes.Inverse<TLanes>(steps);
        blocks.Clear();
        for (int i = 0; i < 4; i++)
        {
            MagnitudeGroups<Iq3XxsGrid>.Assign(lanes, i, inverse, first, second, signs);
            for (int group = 0; group < lanes.Count; group++)
            {
                Span<byte> block = blocks.Slice(group / 8 * 98, 98);
                int run = (group % 8 * 4) + i;
                (block[2 + (2 * run)], block[3 + (2 * run)]) = ((byte)first[group], (byte)second[group]);
                Span<byte> word = block[(66 + (group % 8 * 4))..];
                uint bits = BinaryPrimitives.ReadUInt32LittleEndian(word) | ((uint)scales[group] << 28) | ((uint)EvenSigns.Shorten(signs[group]) << (7 * i));
                BinaryPrimitives.WriteUInt32LittleEndian(word, bits);
            }
        }

        for (int i = 0; i < d.Length; i++)
        {
            HalfScale.Write(blocks[(98 * i)..], d[i]);
        }
    }
}

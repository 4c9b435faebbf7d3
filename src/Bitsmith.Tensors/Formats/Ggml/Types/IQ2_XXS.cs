using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), then for each 32 values four point numbers (a byte each) and a word with four times seven sign bits and a four-bit scale on top.
/// x = d (scale + 1/2) / 4 * point * sign.
/// </summary>
internal sealed class IQ2_XXS() : GgmlFormat(GgmlType.IQ2_XXS, 256, 66), ILaneEncoder
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 0.25f);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int group = 0; group < 8; group++)
        {
            ReadOnlySpan<byte> bytes = block.Slice(2 + (8 * group), 8);
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            float step = d * (0.5f + (word >> 28)) * 0.25f;
            for (int run = 0; run < 4; run++)
            {
                int signs = EvenSigns.Expand((int)(word >> (7 * run)) & 127);
                Signs.Apply(step, Grid.Iq2Xxs.Point(bytes[run]), signs, values.Slice((32 * group) + (8 * run), 8));
            }
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int group = 0; group < 8; group++)
        {
            ReadOnlySpan<byte> bytes = blocks.Slice(2 + (8 * group), 8);
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            scales[2 * group] = scales[(2 * group) + 1] = d * (0.5f + (word >> 28)) * 0.25f;
            for (int run = 0; run < 4; run++)
            {
                words[(4 * group) + run] = Unpacking.Signed(Grid.Iq2Xxs.Bytes(bytes[run]), EvenSigns.Expand((int)(word >> (7 * run)) & 127));
            }
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ2_XXS>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[values.Length / 256], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[lanes.Count], points = stackalloc int[3 * LaneGroups.Width];
        Span<int> first = points[..LaneGroups.Width], second = points.Slice(LaneGroups.Width, LaneGroups.Width), signs = points[(2 * LaneGroups.Width)..];
        ScaleSearch<TLanes, MagnitudeGroups<Iq2XxsGrid>>.Find(lanes, Scales, d, scales, steps);
        TLanes inverse = lanes.Inverse<TLanes>(steps);
        blocks.Clear();
        for (int i = 0; i < 4; i++)
        {
            MagnitudeGroups<Iq2XxsGrid>.Assign(lanes, i, inverse, first, second, signs);
            for (int group = 0; group < lanes.Count; group++)
            {
                Span<byte> block = blocks.Slice(group / 8 * 66, 66);
                int run = (group % 8 * 4) + i;
                Span<byte> bytes = block[(2 + (group % 8 * 8))..];
                bytes[i] = (byte)first[group];
                uint bits = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]) | ((uint)scales[group] << 28) | ((uint)EvenSigns.Shorten(signs[group]) << (7 * i));
                BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], bits);
            }
        }

        for (int i = 0; i < d.Length; i++)
        {
            HalfScale.Write(blocks[(66 * i)..], d[i]);
        }
    }
}

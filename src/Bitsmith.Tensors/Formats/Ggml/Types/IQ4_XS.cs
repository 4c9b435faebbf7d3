using System.Buffers.Binary;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), the upper two bits of eight six-bit scales in a word, their lower nibbles in four bytes, then 32 codes of 4 bits for each scale as in Q4_0.
/// x = d (scale - 32) level[code], see <see cref="Iq4Levels"/>.
/// </summary>
internal sealed class IQ4_XS() : GgmlFormat(GgmlType.IQ4_XS, 256, 136), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        int upper = BinaryPrimitives.ReadUInt16LittleEndian(block[2..]);
        for (int group = 0; group < 8; group++)
        {
            int scale = ((block[4 + (group / 2)] >> (group % 2 * 4)) & 15) | (((upper >> (2 * group)) & 3) << 4);
            float step = d * (scale - 32);
            for (int i = 0; i < 32; i++)
            {
                values[(32 * group) + i] = step * Iq4Levels.Value(Bits.Nibble(block[(8 + (16 * group))..], i));
            }
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        int upper = BinaryPrimitives.ReadUInt16LittleEndian(blocks[2..]);
        for (int group = 0; group < 8; group++)
        {
            int scale = ((blocks[4 + (group / 2)] >> (group % 2 * 4)) & 15) | (((upper >> (2 * group)) & 3) << 4);
            scales[2 * group] = scales[(2 * group) + 1] = d * (scale - 32);
            Unpacking.NibbleLevels(blocks[(8 + (16 * group))..], Iq4Levels.Bytes, codes.Slice(32 * group, 32));
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<IQ4_XS>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[values.Length / 256], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[8 * d.Length];
        Span<byte> codes = stackalloc byte[values.Length];
        ScaleSearch<TLanes, LevelGroups<Iq4Levels>>.Find(lanes, new ScaleCodes(-32, 31), d, scales, steps);
        for (int group = 0; group < scales.Length; group++)
        {
            LevelGroups<Iq4Levels>.WriteCodes<TLanes>(values.Slice(32 * group, 32), steps[group], codes.Slice(32 * group, 32));
        }

        for (int i = 0; i < d.Length; i++)
        {
            Pack<TLanes>(d[i], scales.Slice(8 * i, 8), codes.Slice(256 * i, 256), blocks.Slice(136 * i, 136));
        }
    }

    private static void Pack<TLanes>(float d, ReadOnlySpan<int> scales, ReadOnlySpan<byte> codes, Span<byte> block)
        where TLanes : struct, ILanes16<TLanes>
    {
        int upper = 0;
        block[4..8].Clear();
        for (int group = 0; group < 8; group++)
        {
            int scale = scales[group] + 32;
            upper |= scale >> 4 << (2 * group);
            block[4 + (group / 2)] |= (byte)((scale & 15) << (group % 2 * 4));
            Bits.PackNibbles<TLanes>(codes.Slice(32 * group, 32), block[(8 + (16 * group))..]);
        }

        HalfScale.Write(block, d);
        BinaryPrimitives.WriteUInt16LittleEndian(block[2..], (ushort)upper);
    }
}

using System.Buffers.Binary;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 64 codes of 2 bits, four to a byte from its low bits up. x = d (code - 1); a negative d turns the levels round.</summary>
internal sealed class Q2_0() : GgmlFormat(GgmlType.Q2_0, 64, 18), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 64; i++)
        {
            values[i] = d * (((block[2 + (i / 4)] >> (i % 4 * 2)) & 3) - 1);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(group / 4 * 18, 18);
            scales[group] = HalfScale.Read(block);
            uint bits = BinaryPrimitives.ReadUInt32LittleEndian(block[(2 + (group % 4 * 4))..]);
            for (int i = 0; i < 16; i++)
            {
                codes[(16 * group) + i] = (sbyte)((int)((bits >> (2 * i)) & 3) - 1);
            }
        }
    }

    static int ILaneEncoder.GroupSize => 64;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q2_0>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[lanes.Count];
        Span<byte> codes = stackalloc byte[64];
        ScaleSearch<TLanes, LevelGroups<MinusOneToTwoLevels>>.Find(lanes, scales);
        for (int i = 0; i < scales.Length; i++)
        {
            LevelGroups<MinusOneToTwoLevels>.WriteCodes<TLanes>(values.Slice(64 * i, 64), scales[i], codes);
            Span<byte> block = blocks.Slice(18 * i, 18);
            HalfScale.Write(block, scales[i]);
            Bits.PackFours(codes, block[2..]);
        }
    }
}

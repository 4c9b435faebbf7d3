using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 32 codes of 4 bits: byte j holds values j and j + 16. x = d (code - 8).</summary>
internal sealed class Q4_0() : GgmlFormat(GgmlType.Q4_0, 32, 18), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * (Bits.Nibble(block[2..], i) - 8);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group += 2, blocks = blocks[18..])
        {
            scales[group] = scales[group + 1] = HalfScale.Read(blocks);
            Unpacking.Nibbles(blocks[2..], 8, codes.Slice(16 * group, 32));
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q4_0>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[lanes.Count];
        Span<byte> codes = stackalloc byte[32];
        ScaleSearch<TLanes, LevelGroups<Int4Levels>>.Find(lanes, scales);
        for (int i = 0; i < scales.Length; i++)
        {
            LevelGroups<Int4Levels>.WriteCodes<TLanes>(values.Slice(32 * i, 32), scales[i], codes);
            Span<byte> block = blocks.Slice(18 * i, 18);
            HalfScale.Write(block, scales[i]);
            Bits.PackNibbles<TLanes>(codes, block[2..]);
        }
    }
}

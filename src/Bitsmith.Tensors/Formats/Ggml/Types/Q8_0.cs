using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 32 signed bytes. x = d code.</summary>
internal sealed class Q8_0() : GgmlFormat(GgmlType.Q8_0, 32, 34), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * (sbyte)block[2 + i];
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group += 2, blocks = blocks[34..])
        {
            scales[group] = scales[group + 1] = HalfScale.Read(blocks);
            MemoryMarshal.Cast<byte, sbyte>(blocks.Slice(2, 32)).CopyTo(codes[(16 * group)..]);
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q8_0>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[lanes.Count];
        ScaleSearch<TLanes, LevelGroups<Int8Levels>>.Find(lanes, scales);
        for (int i = 0; i < scales.Length; i++)
        {
            Span<byte> block = blocks.Slice(34 * i, 34);
            HalfScale.Write(block, scales[i]);
            LevelGroups<Int8Levels>.WriteCodes<TLanes>(values.Slice(32 * i, 32), scales[i], block[2..]);
        }
    }
}

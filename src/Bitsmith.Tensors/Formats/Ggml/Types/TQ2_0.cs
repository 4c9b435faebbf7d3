using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>256 codes of 2 bits packed as <see cref="Bits.Pair"/>, d (binary16). x = d (code - 1); the encoder writes the codes 0, 1 and 2.</summary>
internal sealed class TQ2_0() : GgmlFormat(GgmlType.TQ2_0, 256, 66), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block[64..]);
        for (int i = 0; i < 256; i++)
        {
            values[i] = d * (Bits.Pair(block, i) - 1);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        scales.Fill(HalfScale.Read(blocks[64..]));
        Unpacking.Pairs(blocks, 1, codes);
    }

    static int ILaneEncoder.GroupSize => 256;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<TQ2_0>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[lanes.Count];
        Span<byte> codes = stackalloc byte[256];
        ScaleSearch<TLanes, LevelGroups<TernaryLevels>>.Find(lanes, scales);
        for (int i = 0; i < scales.Length; i++)
        {
            LevelGroups<TernaryLevels>.WriteCodes<TLanes>(values.Slice(256 * i, 256), scales[i], codes);
            Bits.PackPairs<TLanes>(codes, 0, blocks[(66 * i)..]);
            HalfScale.Write(blocks[((66 * i) + 64)..], scales[i]);
        }
    }
}

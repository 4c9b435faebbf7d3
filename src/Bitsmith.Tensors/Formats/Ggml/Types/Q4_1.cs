using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d and m (binary16), 32 codes of 4 bits as in Q4_0. x = d code + m.</summary>
internal sealed class Q4_1() : GgmlFormat(GgmlType.Q4_1, 32, 20), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block), HalfScale.Read(block[2..]));
        for (int i = 0; i < 32; i++)
        {
            values[i] = (d * Bits.Nibble(block[4..], i)) + m;
        }
    }

    internal override bool HasMinima => true;

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group += 2, blocks = blocks[20..])
        {
            scales[group] = scales[group + 1] = HalfScale.Read(blocks);
            minima[group] = minima[group + 1] = -HalfScale.Read(blocks[2..]);
            Unpacking.Nibbles(blocks[4..], 0, codes.Slice(16 * group, 32));
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q4_1>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[values.Length / 32], offsets = stackalloc float[scales.Length];
        Span<byte> codes = stackalloc byte[values.Length];
        AffineBlocks<TLanes>.Encode(AffineSearch.FourBits, lanes, values, scales, offsets, codes);
        for (int i = 0; i < scales.Length; i++)
        {
            Span<byte> block = blocks.Slice(20 * i, 20);
            HalfScale.Write(block, scales[i]);
            HalfScale.Write(block[2..], offsets[i]);
            Bits.PackNibbles<TLanes>(codes.Slice(32 * i, 32), block[4..]);
        }
    }
}

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

    static int ILaneEncoder.BatchBlocks => 16;

    private protected override void EncodeRow(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<TQ2_0>(this, values, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[values.Length / 256];
        Span<byte> codes = stackalloc byte[values.Length];
        LevelSearch<TLanes, TernaryLevels>.Encode(values, weights, 256, ScaleCodes.One, scales, stackalloc int[scales.Length], codes);
        for (int i = 0; i < scales.Length; i++)
        {
            Bits.PackPairs<TLanes>(codes.Slice(256 * i, 256), 0, blocks[(66 * i)..]);
            HalfScale.Write(blocks[((66 * i) + 64)..], scales[i]);
        }
    }
}

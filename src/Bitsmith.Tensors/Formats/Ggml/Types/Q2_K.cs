using System.Runtime.Intrinsics;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>Scale and minimum (a nibble each) for each 16 values, 256 codes of 2 bits, d and m (binary16). x = d scale code - m minimum.</summary>
internal sealed class Q2_K() : GgmlFormat(GgmlType.Q2_K, 256, 84), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block[80..]), HalfScale.Read(block[82..]));
        for (int i = 0; i < 256; i++)
        {
            byte scales = block[i / 16];
            values[i] = (d * (scales & 15) * Bits.Pair(block[16..], i)) - (m * (scales >> 4));
        }
    }

    internal override bool HasMinima => true;

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        Vector128<byte> both = Vector128.Create(blocks);
        Unpacking.Factors((both & Vector128.Create((byte)15)).AsSByte(), HalfScale.Read(blocks[80..]), scales);
        Unpacking.Factors((both >>> 4).AsSByte(), HalfScale.Read(blocks[82..]), minima);
        Unpacking.Pairs(blocks[16..], 0, codes);
    }

    static int ILaneEncoder.GroupSize => 16;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q2_K>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<(float D, float M)> factors = stackalloc (float, float)[1];
        Span<int> scales = stackalloc int[16], minima = stackalloc int[16];
        Span<byte> codes = stackalloc byte[256];
        MinimumSearch<TLanes>.Encode(AffineSearch.TwoBits, 15, lanes, values, factors, scales, minima, codes);
        for (int group = 0; group < 16; group++)
        {
            blocks[group] = (byte)(scales[group] | (minima[group] << 4));
        }

        Bits.PackPairs<TLanes>(codes, 0, blocks[16..]);
        HalfScale.Write(blocks[80..], factors[0].D);
        HalfScale.Write(blocks[82..], factors[0].M);
    }
}

using System.Runtime.Intrinsics;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d and m (binary16), eight six-bit scales and minima (<see cref="SixBitPairs"/>), 256 codes of 4 bits: byte l of chunk c holds values 64c + l and
/// 64c + 32 + l. x = d scale code - m minimum.
/// </summary>
internal sealed class Q4_K() : GgmlFormat(GgmlType.Q4_K, 256, 144), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block), HalfScale.Read(block[2..]));
        for (int group = 0; group < 8; group++)
        {
            (int scale, int minimum) = SixBitPairs.Read(block[4..], group);
            (float step, float offset) = (d * scale, m * minimum);
            ReadOnlySpan<byte> bytes = block.Slice(16 + (group / 2 * 32), 32);
            for (int l = 0; l < 32; l++)
            {
                values[(32 * group) + l] = (step * ((bytes[l] >> (group % 2 * 4)) & 15)) - offset;
            }
        }
    }

    internal override bool HasMinima => true;

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        SixBitPairs.Read(blocks[4..], out ulong factors, out ulong offsets);
        Unpacking.PairFactors(factors, HalfScale.Read(blocks), scales);
        Unpacking.PairFactors(offsets, HalfScale.Read(blocks[2..]), minima);
        Vector256<byte> nibble = Vector256.Create((byte)15);
        for (int pair = 0; pair < 4; pair++)
        {
            Vector256<byte> both = Vector256.Create(blocks[(16 + (32 * pair))..]);
            (both & nibble).AsSByte().CopyTo(codes[(64 * pair)..]);
            (both >>> 4).AsSByte().CopyTo(codes[((64 * pair) + 32)..]);
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q4_K>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<(float D, float M)> factors = stackalloc (float, float)[values.Length / 256];
        Span<int> scales = stackalloc int[8 * factors.Length], minima = stackalloc int[scales.Length];
        Span<byte> codes = stackalloc byte[values.Length];
        MinimumSearch<TLanes>.Encode(AffineSearch.FourBits, 63, lanes, values, factors, scales, minima, codes);
        for (int i = 0; i < factors.Length; i++)
        {
            Span<byte> block = blocks.Slice(144 * i, 144);
            HalfScale.Write(block, factors[i].D);
            HalfScale.Write(block[2..], factors[i].M);
            SixBitPairs.Write(scales.Slice(8 * i, 8), minima.Slice(8 * i, 8), block[4..]);
            Bits.PackNibblePairs<TLanes>(codes.Slice(256 * i, 256), block[16..]);
        }
    }
}

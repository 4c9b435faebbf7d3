using System.Runtime.Intrinsics;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>As Q4_K, with a fifth bit of each code: bit g of byte l of 32 belongs to value 32g + l.</summary>
internal sealed class Q5_K() : GgmlFormat(GgmlType.Q5_K, 256, 176), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        (float d, float m) = (HalfScale.Read(block), HalfScale.Read(block[2..]));
        for (int group = 0; group < 8; group++)
        {
            (int scale, int minimum) = SixBitPairs.Read(block[4..], group);
            (float step, float offset) = (d * scale, m * minimum);
            ReadOnlySpan<byte> fifth = block.Slice(16, 32), bytes = block.Slice(48 + (group / 2 * 32), 32);
            for (int l = 0; l < 32; l++)
            {
                int code = ((bytes[l] >> (group % 2 * 4)) & 15) | (((fifth[l] >> group) & 1) << 4);
                values[(32 * group) + l] = (step * code) - offset;
            }
        }
    }

    internal override bool HasMinima => true;

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        SixBitPairs.Read(blocks[4..], out ulong factors, out ulong offsets);
        Unpacking.PairFactors(factors, HalfScale.Read(blocks), scales);
        Unpacking.PairFactors(offsets, HalfScale.Read(blocks[2..]), minima);
        Vector256<byte> nibble = Vector256.Create((byte)15), fifth = Vector256.Create(blocks[16..]), sixteen = Vector256.Create((byte)16);
        for (int pair = 0; pair < 4; pair++, fifth >>>= 2)
        {
            Vector256<byte> both = Vector256.Create(blocks[(48 + (32 * pair))..]);
            ((both & nibble) | ((fifth << 4) & sixteen)).AsSByte().CopyTo(codes[(64 * pair)..]);
            ((both >>> 4) | ((fifth << 3) & sixteen)).AsSByte().CopyTo(codes[((64 * pair) + 32)..]);
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q5_K>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<(float D, float M)> factors = stackalloc (float, float)[values.Length / 256];
        Span<int> scales = stackalloc int[8 * factors.Length], minima = stackalloc int[scales.Length];
        Span<byte> codes = stackalloc byte[values.Length];
        MinimumSearch<TLanes>.Encode(AffineSearch.FiveBits, 63, lanes, values, factors, scales, minima, codes);
        for (int i = 0; i < factors.Length; i++)
        {
            Span<byte> block = blocks.Slice(176 * i, 176);
            HalfScale.Write(block, factors[i].D);
            HalfScale.Write(block[2..], factors[i].M);
            SixBitPairs.Write(scales.Slice(8 * i, 8), minima.Slice(8 * i, 8), block[4..]);
            for (int l = 0; l < 32; l += LaneMath.Width)
            {
                TLanes fifth = TLanes.Broadcast(0);
                for (int group = 0; group < 8; group++)
                {
                    fifth |= TLanes.Load8(in codes[(256 * i) + (32 * group) + l]) >>> 4 << group;
                }

                TLanes.Store8(fifth, ref block[16 + l]);
            }

            Bits.PackNibblePairs<TLanes>(codes.Slice(256 * i, 256), block[48..]);
        }
    }
}

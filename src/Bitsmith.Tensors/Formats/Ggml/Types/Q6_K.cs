using System.Runtime.Intrinsics;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// 256 codes of 6 bits, sixteen signed bytes as scales, d (binary16). In each half of 128, byte l of 64 holds the lower nibbles of values l and l + 64;
/// the two upper bits are packed as <see cref="Bits.Pair"/>. x = d scale (code - 32).
/// </summary>
internal sealed class Q6_K() : GgmlFormat(GgmlType.Q6_K, 256, 210), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block[208..]);
        for (int i = 0; i < 256; i++)
        {
            int code = ((block[(i / 128 * 64) + (i % 64)] >> (i % 128 / 64 * 4)) & 15) | (Bits.Pair(block[128..], i) << 4);
            values[i] = d * (sbyte)block[192 + (i / 16)] * (code - 32);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        Unpacking.Factors(Vector128.Create(blocks[192..]).AsSByte(), HalfScale.Read(blocks[208..]), scales);
        Vector256<byte> nibble = Vector256.Create((byte)15), upper = Vector256.Create((byte)0x30);
        Vector256<sbyte> shift = Vector256.Create((sbyte)32);
        for (int half = 0; half < 2; half++)
        {
            Vector256<byte> first = Vector256.Create(blocks[(64 * half)..]), second = Vector256.Create(blocks[((64 * half) + 32)..]), pairs = Vector256.Create(blocks[(128 + (32 * half))..]);
            Span<sbyte> target = codes.Slice(128 * half, 128);
            (((first & nibble) | ((pairs << 4) & upper)).AsSByte() - shift).CopyTo(target);
            (((second & nibble) | ((pairs << 2) & upper)).AsSByte() - shift).CopyTo(target[32..]);
            (((first >>> 4) | (pairs & upper)).AsSByte() - shift).CopyTo(target[64..]);
            (((second >>> 4) | ((pairs >>> 2) & upper)).AsSByte() - shift).CopyTo(target[96..]);
        }
    }

    static int ILaneEncoder.GroupSize => 16;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q6_K>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[1], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[16];
        Span<byte> codes = stackalloc byte[256];
        ScaleSearch<TLanes, LevelGroups<Int6Levels>>.Find(lanes, new ScaleCodes(-128, 127), d, scales, steps);
        for (int group = 0; group < scales.Length; group++)
        {
            LevelGroups<Int6Levels>.WriteCodes<TLanes>(values.Slice(16 * group, 16), steps[group], codes.Slice(16 * group, 16));
        }

        TLanes nibble = TLanes.Broadcast(15);
        for (int i = 0; i < 128; i += LaneMath.Width)
        {
            int first = (i / 64 * 128) + (i % 64);
            TLanes low = TLanes.Load8(in codes[first]) & nibble, high = TLanes.Load8(in codes[first + 64]) & nibble;
            TLanes.Store8(low | (high << 4), ref blocks[i]);
        }

        Bits.PackPairs<TLanes>(codes, 4, blocks[128..]);
        for (int group = 0; group < 16; group++)
        {
            blocks[192 + group] = (byte)scales[group];
        }

        HalfScale.Write(blocks[208..], d[0]);
    }
}

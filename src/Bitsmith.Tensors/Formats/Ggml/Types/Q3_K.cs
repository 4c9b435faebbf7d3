using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// 256 codes of 3 bits, sixteen six-bit scales in twelve bytes, d (binary16). The third bits come first: bit k of byte l of 32 belongs to value 32k + l;
/// the two lower bits are packed as <see cref="Bits.Pair"/>. Of the scales, byte j of 8 holds the lower nibbles of j and j + 8, byte j of the last 4 the two
/// upper bits of j, j + 4, j + 8 and j + 12. x = d (scale - 32) (code - 4).
/// </summary>
internal sealed class Q3_K() : GgmlFormat(GgmlType.Q3_K, 256, 110), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block[108..]);
        ReadOnlySpan<byte> scales = block.Slice(96, 12);
        for (int i = 0; i < 256; i++)
        {
            int group = i / 16;
            int scale = ((scales[group % 8] >> (group / 8 * 4)) & 15) | (((scales[8 + (group % 4)] >> (group / 4 * 2)) & 3) << 4);
            int code = Bits.Pair(block[32..], i) | (((block[i % 32] >> (i / 32)) & 1) << 2);
            values[i] = d * (scale - 32) * (code - 4);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        const ulong Nibble = 0x0F0F_0F0F_0F0F_0F0F, Pair = 0x0303_0303_0303_0303;
        ulong lower = BinaryPrimitives.ReadUInt64LittleEndian(blocks[96..]), upper = BinaryPrimitives.ReadUInt32LittleEndian(blocks[104..]);
        upper |= upper >> 2 << 32; // the scales of groups 0 to 3 and 4 to 7, behind them those of 8 to 15
        Vector128<sbyte> factors = Vector128.Create((lower & Nibble) | ((upper & Pair) << 4), ((lower >> 4) & Nibble) | (((upper >> 4) & Pair) << 4)).AsSByte();
        Unpacking.Factors(factors - Vector128.Create((sbyte)32), HalfScale.Read(blocks[108..]), scales);
        Vector256<byte> third = Vector256.Create(blocks), three = Vector256.Create((byte)3), four = Vector256.Create((byte)4);
        for (int k = 0; k < 8; k++)
        {
            Vector256<byte> code = (Vector256.Create(blocks[(32 + (k / 4 * 32))..]) >>> (k % 4 * 2)) & three;
            code |= Vector256.Equals((third >>> k) & Vector256<byte>.One, Vector256<byte>.One) & four;
            (code - four).AsSByte().CopyTo(codes[(32 * k)..]);
        }
    }

    static int ILaneEncoder.GroupSize => 16;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<Q3_K>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> d = stackalloc float[1], steps = stackalloc float[LaneGroups.Width];
        Span<int> scales = stackalloc int[16];
        Span<byte> codes = stackalloc byte[256];
        ScaleSearch<TLanes, LevelGroups<Int3Levels>>.Find(lanes, new ScaleCodes(-32, 31), d, scales, steps);
        for (int group = 0; group < scales.Length; group++)
        {
            LevelGroups<Int3Levels>.WriteCodes<TLanes>(values.Slice(16 * group, 16), steps[group], codes.Slice(16 * group, 16));
        }

        for (int l = 0; l < 32; l += LaneMath.Width)
        {
            TLanes third = TLanes.Broadcast(0);
            for (int k = 0; k < 8; k++)
            {
                third |= TLanes.Load8(in codes[(32 * k) + l]) >>> 2 << k;
            }

            TLanes.Store8(third, ref blocks[l]);
        }

        Bits.PackPairs<TLanes>(codes, 0, blocks[32..]);
        blocks.Slice(96, 12).Clear();
        for (int group = 0; group < 16; group++)
        {
            int scale = scales[group] + 32;
            blocks[96 + (group % 8)] |= (byte)((scale & 15) << (group / 8 * 4));
            blocks[104 + (group % 4)] |= (byte)(scale >> 4 << (group / 4 * 2));
        }

        HalfScale.Write(blocks[108..], d[0]);
    }
}

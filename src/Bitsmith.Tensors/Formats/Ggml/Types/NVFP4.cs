using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// Four scales (unsigned e4m3, of which 0x7F counts as zero), 64 codes of 4 bits: byte j of group s holds values 16s + j and 16s + 8 + j.
/// x = scale / 2 * level[code], see <see cref="Fp4Levels"/>. There is no scale for the tensor, so weights below about 2^-11 vanish.
/// </summary>
internal sealed class NVFP4() : GgmlFormat(GgmlType.NVFP4, 64, 36), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        for (int i = 0; i < 64; i++)
        {
            int group = i / 16, j = i % 8;
            values[i] = Scale(block[group]) * Fp4Levels.Value((block[4 + (8 * group) + j] >> (i % 16 / 8 * 4)) & 15);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(group / 4 * 36, 36);
            scales[group] = Scale(block[group % 4]);
            for (int j = 0; j < 8; j++)
            {
                byte both = block[4 + (group % 4 * 8) + j];
                codes[(16 * group) + j] = Fp4Levels.Bytes[both & 15];
                codes[(16 * group) + 8 + j] = Fp4Levels.Bytes[both >> 4];
            }
        }
    }

    static int ILaneEncoder.GroupSize => 16;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<NVFP4>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<int> scales = stackalloc int[values.Length / 16];
        Span<byte> codes = stackalloc byte[values.Length];
        ListedScales<TLanes, Fp4Levels, E4M3Scales>.Encode(lanes, values, scales, codes);
        for (int group = 0; group < scales.Length; group++)
        {
            Span<byte> block = blocks.Slice(group / 4 * 36, 36);
            block[group % 4] = (byte)scales[group];
            for (int j = 0; j < 8; j++)
            {
                block[4 + (8 * (group % 4)) + j] = (byte)(codes[(16 * group) + j] | (codes[(16 * group) + j + 8] << 4));
            }
        }
    }

    /// <summary>The sign bit does not count, and neither NaN nor its code exists.</summary>
    private static float Scale(int code) => (code & 0x7F) == 0x7F ? 0 : Float8E4M3.Values[code & 0x7F] * 0.5f;

    private readonly struct E4M3Scales : IListedScales
    {
        public static int Highest => 0x7E;

        public static int Trials => 26;

        // The scale at which the largest weight is the largest level; an octave and a half below it, where weights are clipped, and above.
        public static int First(float largest) => Float8E4M3.FromSingle(largest / 6).Bits - 12;

        public static float Scale(int code) => NVFP4.Scale(code);
    }
}

using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// A power of two as its binary32 exponent (e8m0), 32 codes of 4 bits as in Q4_0. x = 2^(e - 128) level[code], see <see cref="Fp4Levels"/>.
/// </summary>
internal sealed class MXFP4() : GgmlFormat(GgmlType.MXFP4, 32, 17), ILaneEncoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float scale = Scale(block[0]);
        for (int i = 0; i < 32; i++)
        {
            values[i] = scale * Fp4Levels.Value(Bits.Nibble(block[1..], i));
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group += 2, blocks = blocks[17..])
        {
            scales[group] = scales[group + 1] = Scale(blocks[0]);
            Unpacking.NibbleLevels(blocks[1..], Fp4Levels.Bytes, codes.Slice(16 * group, 32));
        }
    }

    static int ILaneEncoder.GroupSize => 32;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<MXFP4>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<int> exponents = stackalloc int[values.Length / 32];
        Span<byte> codes = stackalloc byte[values.Length];
        ListedScales<TLanes, Fp4Levels, Powers>.Encode(lanes, values, exponents, codes);
        for (int i = 0; i < exponents.Length; i++)
        {
            blocks[17 * i] = (byte)exponents[i];
            Bits.PackNibbles<TLanes>(codes.Slice(32 * i, 32), blocks[((17 * i) + 1)..]);
        }
    }

    private static float Scale(int exponent) => MathF.ScaleB(1, exponent - 128);

    private readonly struct Powers : IListedScales
    {
        // 2^124 * 12 is the largest finite value.
        public static int Highest => 252;

        public static int Trials => 4;

        // The power at which the largest weight falls between the levels 4 and 12, and its neighbours: finer ones clip.
        public static int First(float largest) => (largest == 0 ? 0 : MathF.ILogB(largest) + 125) - 2;

        public static float Scale(int code) => MXFP4.Scale(code);
    }
}

using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// A power of two as its binary32 exponent (e8m0), 32 codes of 4 bits as in Q4_0. x = 2^(e - 128) level[code], see <see cref="Fp4Levels"/>.
/// </summary>
internal sealed class MXFP4() : GgmlFormat(GgmlType.MXFP4, 32, 17), ILaneEncoder, IListedScales
{
    // 2^124 * 12 is the largest finite value.
    private const int HighestExponent = 252;

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

    static int ILaneEncoder.BatchBlocks => 16;

    static int IListedScales.Highest => HighestExponent;

    static int IListedScales.Trials => 4;

    // The power at which the largest weight falls between the levels 4 and 12, and its neighbours: finer ones clip.
    static int IListedScales.First(float largest) => (largest == 0 ? 0 : MathF.ILogB(largest) + 125) - 2;

    static float IListedScales.Scale(int code) => Scale(code);

    private protected override void EncodeRow(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<MXFP4>(this, values, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks)
    {
        Span<int> exponents = stackalloc int[values.Length / 32];
        Span<byte> codes = stackalloc byte[values.Length];
        ListedScales<TLanes, Fp4Levels, MXFP4>.Encode(values, weights, exponents, codes);
        for (int i = 0; i < exponents.Length; i++)
        {
            blocks[17 * i] = (byte)exponents[i];
            Bits.PackNibbles<TLanes>(codes.Slice(32 * i, 32), blocks[((17 * i) + 1)..]);
        }
    }

    private static float Scale(int exponent) => MathF.ScaleB(1, exponent - 128);
}

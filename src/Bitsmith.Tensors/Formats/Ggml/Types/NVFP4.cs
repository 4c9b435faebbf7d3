using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// Four scales (unsigned e4m3, of which 0x7F counts as zero), 64 codes of 4 bits: byte j of group s holds values 16s + j and 16s + 8 + j.
/// x = scale / 2 * level[code], see <see cref="Fp4Levels"/>. There is no scale for the tensor, so weights below about 2^-11 vanish.
/// </summary>
internal sealed class NVFP4() : GgmlFormat(GgmlType.NVFP4, 64, 36)
{
    private const int HighestScale = 0x7E;

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        for (int i = 0; i < 64; i++)
        {
            int group = i / 16, j = i % 8;
            values[i] = Scale(block[group]) * Fp4Levels.Value((block[4 + (8 * group) + j] >> (i % 16 / 8 * 4)) & 15);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        const int Below = 12, Above = 13;
        LevelGroups<Fp4Levels> groups = new(values, weights, 16);
        Span<int> codes = stackalloc int[16];
        for (int group = 0; group < 4; group++)
        {
            float largest = 0;
            foreach (float value in values.Slice(16 * group, 16))
            {
                largest = Math.Max(largest, Math.Abs(value));
            }

            // The scale at which the largest weight is the largest level; an octave and a half below it, where weights are clipped, and above.
            int middle = Float8E4M3.FromSingle(largest / 6).Bits, best = 0;
            double least = double.PositiveInfinity;
            for (int scale = Math.Max(middle - Below, 0); scale <= Math.Min(middle + Above, HighestScale); scale++)
            {
                double error = groups.Fit(group, Scale(scale)).Error;
                (best, least) = error < least ? (scale, error) : (best, least);
            }

            groups.Codes(group, Scale(best), codes);
            block[group] = (byte)best;
            for (int j = 0; j < 8; j++)
            {
                block[4 + (8 * group) + j] = (byte)(codes[j] | (codes[j + 8] << 4));
            }
        }
    }

    /// <summary>The sign bit does not count, and neither NaN nor its code exists.</summary>
    private static float Scale(int code) => (code & 0x7F) == 0x7F ? 0 : Float8E4M3.Values[code & 0x7F] * 0.5f;
}

using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// A power of two as its binary32 exponent (e8m0), 32 codes of 4 bits as in Q4_0. x = 2^(e - 128) level[code], see <see cref="Fp4Levels"/>.
/// </summary>
internal sealed class MXFP4() : GgmlFormat(GgmlType.MXFP4, 32, 17)
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

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        float largest = 0;
        foreach (float value in values)
        {
            largest = Math.Max(largest, Math.Abs(value));
        }

        // The power at which the largest weight falls between the levels 4 and 12, and its neighbours: finer ones clip.
        LevelGroups<Fp4Levels> groups = new(values, weights, 32);
        int middle = largest == 0 ? 0 : MathF.ILogB(largest) + 125, best = 0;
        double least = double.PositiveInfinity;
        for (int e = Math.Clamp(middle - 2, 0, HighestExponent); e <= Math.Clamp(middle + 1, 0, HighestExponent); e++)
        {
            double error = groups.Fit(0, Scale(e)).Error;
            (best, least) = error < least ? (e, error) : (best, least);
        }

        Span<int> codes = stackalloc int[32];
        groups.Codes(0, Scale(best), codes);
        block[0] = (byte)best;
        Bits.PackNibbles(codes, block[1..]);
    }

    private static float Scale(int exponent) => MathF.ScaleB(1, exponent - 128);
}

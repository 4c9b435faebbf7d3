using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>The scale d of least weighted squared error for levels -d, 0 and d.</summary>
internal static class Ternary
{
    /// <summary>Returns d as binary16 holds it, and codes 0, 1 and 2 for -d, 0 and d.</summary>
    /// <remarks>
    /// At any d the weights above d / 2 in magnitude get ±d, so the best set of them is a head of the weights sorted by magnitude: the one with the greatest
    /// (sum w |x|)^2 / sum w.
    /// </remarks>
    public static float Encode(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<int> codes)
    {
        Span<float> magnitudes = stackalloc float[values.Length], sorted = stackalloc float[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            magnitudes[i] = -Math.Abs(values[i]);
            sorted[i] = weights[i];
        }

        magnitudes.Sort(sorted);
        double product = 0, square = 0, greatest = 0, best = 0;
        for (int i = 0; i < magnitudes.Length; i++)
        {
            product -= (double)sorted[i] * magnitudes[i];
            square += sorted[i];
            if (product * product / square > greatest)
            {
                (greatest, best) = (product * product / square, product / square);
            }
        }

        float d = HalfScale.Round((float)best), inverse = HalfScale.Inverse(d);
        for (int i = 0; i < values.Length; i++)
        {
            codes[i] = (int)Math.Clamp(MathF.Round(values[i] * inverse), -1, 1) + 1;
        }

        return d;
    }
}

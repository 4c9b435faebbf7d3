namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Blocks with integer scales and minima for each group, and a binary16 factor for either.</summary>
internal static class MinimumBlock
{
    /// <summary>
    /// Returns the factors as binary16 holds them, the scale and minimum of each group, and the code of each weight: x ~ d scale code - m minimum.
    /// </summary>
    public static (float D, float M) Encode(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int highestCode, int highestScale, Span<int> scales, Span<int> minima, Span<int> codes)
    {
        MinimumScales search = new(values, weights, values.Length / scales.Length, highestCode, highestScale, scales, minima);
        int groupSize = values.Length / scales.Length;
        for (int i = 0; i < values.Length; i++)
        {
            float inverse = HalfScale.Inverse(search.D * scales[i / groupSize]);
            codes[i] = (int)AffineFit.Nearest(values[i], inverse, -(search.M * minima[i / groupSize]), highestCode);
        }

        return (search.D, search.M);
    }
}

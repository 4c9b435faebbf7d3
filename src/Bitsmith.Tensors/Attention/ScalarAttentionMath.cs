namespace Bitsmith.Tensors.Attention;

/// <summary>Plain C#: the definition that the lanes are held to.</summary>
internal readonly struct ScalarAttentionMath : IAttentionMath
{
    public static void Multiply(ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int jump, int vectors, int count, Span<float> c, int cStride)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int vector = 0; vector < vectors; vector++)
            {
                Span<float> sums = c.Slice((row * cStride) + (vector * 16), 16);
                for (int k = 0; k < count; k++)
                {
                    float factor = a[(row * aStride) + k];
                    ReadOnlySpan<float> lanes = b.Slice((k * step) + (vector * jump), 16);
                    for (int i = 0; i < sums.Length; i++)
                    {
                        sums[i] += factor * lanes[i];
                    }
                }
            }
        }
    }

    public static void Softmax(Span<float> scores, int count, ref float maximum, Span<float> sums, Span<float> outputs)
    {
        float largest = maximum;
        foreach (float score in scores[..count])
        {
            largest = MathF.Max(largest, score);
        }

        float origin = OnlineSoftmax.Origin(largest), correction = OnlineSoftmax.Correction(ref maximum, largest);
        Scale(sums, correction);
        Scale(outputs, correction);
        for (int i = 0; i < count; i++)
        {
            scores[i] = MathF.Exp(scores[i] - origin);
            sums[i % sums.Length] += scores[i];
        }
    }

    public static void Divide(Span<float> outputs, float divisor)
    {
        foreach (ref float output in outputs)
        {
            output /= divisor;
        }
    }

    private static void Scale(Span<float> values, float factor)
    {
        foreach (ref float value in values)
        {
            value *= factor;
        }
    }
}

/// <summary>What every instruction set does alike when the running maximum of a softmax rises.</summary>
internal static class OnlineSoftmax
{
    /// <summary>What is subtracted from scores: the maximum, or 0 while all scores are -∞, which then weigh nothing.</summary>
    public static float Origin(float largest) => float.IsNegativeInfinity(largest) ? 0 : largest;

    /// <summary>Raises the maximum; returns what the sums so far are multiplied by.</summary>
    public static float Correction(ref float maximum, float largest)
    {
        float correction = maximum == largest ? 1 : MathF.Exp(maximum - Origin(largest));
        maximum = largest;
        return correction;
    }
}

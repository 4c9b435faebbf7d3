namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>The factors that are tried.</summary>
internal static class AwqGrid
{
    /// <summary>
    /// The identity, then for r from 0 to 1 in equal steps s = max(x^r / (w^(1-r) + 1e-4), 1e-4), divided by √(max s · min s). Channels without input are left alone: 1; so is a factor that is no positive
    /// finite binary32.
    /// </summary>
    /// <param name="inputs">x: the mean magnitude of each channel.</param>
    /// <param name="weights">w: the mean of |w| over the largest of its group, of each channel.</param>
    /// <param name="points">How many, at least 3.</param>
    public static IEnumerable<float[]> Of(double[] inputs, double[] weights, int points)
    {
        float[] identity = new float[inputs.Length];
        identity.AsSpan().Fill(1);
        yield return identity;
        for (int point = 1; point < points; point++)
        {
            yield return At(inputs, weights, (point - 1.0) / (points - 2));
        }
    }

    private static float[] At(double[] inputs, double[] weights, double ratio)
    {
        const double Least = 1e-4;
        double[] factors = new double[inputs.Length];
        (double most, double least) = (0, double.PositiveInfinity);
        for (int i = 0; i < factors.Length; i++)
        {
            if (inputs[i] > 0)
            {
                factors[i] = Math.Max(Math.Pow(inputs[i], ratio) / (Math.Pow(weights[i], 1 - ratio) + Least), Least);
                (most, least) = (Math.Max(most, factors[i]), Math.Min(least, factors[i]));
            }
        }

        double middle = Math.Sqrt(most) * Math.Sqrt(least);
        return [.. factors.Select(factor => (float)(factor / middle) is float s && s > 0 && float.IsFinite(s) ? s : 1)];
    }
}

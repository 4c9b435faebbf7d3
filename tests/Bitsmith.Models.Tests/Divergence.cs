namespace Bitsmith.Models.Tests;

/// <summary>How far the probabilities that logits stand for lie from those of a reference.</summary>
internal static class Divergence
{
    /// <summary>KL(expected || actual) of the softmaxes at each position, for logits [positions × vocabulary].</summary>
    public static double[] AtEachPosition(float[] expected, float[] actual, int vocabulary)
    {
        Assert.Equal(expected.Length, actual.Length);
        return [.. Enumerable.Range(0, expected.Length / vocabulary).Select(position =>
        {
            double[] p = LogSoftmax(expected.AsSpan(position * vocabulary, vocabulary)), q = LogSoftmax(actual.AsSpan(position * vocabulary, vocabulary));
            return p.Zip(q, (a, b) => Math.Exp(a) * (a - b)).Sum();
        })];
    }

    private static double[] LogSoftmax(ReadOnlySpan<float> logits)
    {
        double[] values = [.. logits.ToArray().Select(logit => (double)logit)];
        double normalizer = Math.Log(values.Sum(Math.Exp));
        return [.. values.Select(value => value - normalizer)];
    }
}

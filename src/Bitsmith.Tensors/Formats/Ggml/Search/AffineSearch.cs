namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Scale and offset of one group of weights, x ~ scale * code + offset, of small weighted squared error: candidates around and within the group's
/// range, each solved by least squares, then alternating assignment and least squares from the best.
/// </summary>
internal static class AffineSearch
{
    private const int Rounds = 8;

    // The range of codes over the range of values: beyond 1 the values at one or both ends are clipped.
    private static readonly float[] Reaches = [1.07f, 1.15f, 1.25f, 1.4f, 1.6f, 1.85f, 2.2f, 2.7f, 3.5f];

    /// <summary>Finds scale and offset as real numbers; the offset at most zero where that is asked.</summary>
    public static (float Scale, float Offset, AffineFit Fit) Find(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int highest, bool negativeOffset)
    {
        float low = values[0], high = values[0];
        foreach (float value in values)
        {
            (low, high) = (Math.Min(low, value), Math.Max(high, value));
        }

        low = negativeOffset ? Math.Min(low, 0) : low;
        high = Math.Max(high, low);
        float range = high - low;
        if (range == 0 || !float.IsFinite(range))
        {
            return new Candidate(values, weights, highest, negativeOffset, (high / highest) - (low / highest), low).Result;
        }

        CandidateList candidates = new(stackalloc float[CandidateList.Capacity], stackalloc float[CandidateList.Capacity]);
        for (int step = -5; step <= 5; step++)
        {
            float width = range / (highest + (0.18f * step));
            for (int phase = -2; phase <= 1; phase++)
            {
                candidates.Add(width, low + (0.25f * phase * width));
            }
        }

        foreach (float reach in Reaches)
        {
            float shorter = range / reach;
            candidates.Add(shorter / highest, low);
            candidates.Add(shorter / highest, low + ((range - shorter) / 2));
            candidates.Add(shorter / highest, high - shorter);
        }

        (float scale, float offset) = candidates.BestAffine(values, weights, highest, negativeOffset);
        Candidate best = new(values, weights, highest, negativeOffset, scale, offset);
        for (int round = 0; round < Rounds; round++)
        {
            Candidate next = best.Better(best.Result.Scale, best.Result.Offset);
            if (next.Gain <= best.Gain)
            {
                break;
            }

            best = next;
        }

        return best.Result;
    }

    private readonly ref struct Candidate
    {
        private readonly ReadOnlySpan<float> values;
        private readonly ReadOnlySpan<float> weights;
        private readonly int highest;
        private readonly bool negativeOffset;

        public Candidate(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int highest, bool negativeOffset, float scale, float offset)
        {
            this.values = values;
            this.weights = weights;
            this.highest = highest;
            this.negativeOffset = negativeOffset;
            AffineFit fit = AffineFit.Of(values, weights, scale, offset, highest);
            (float bestScale, float bestOffset, Gain) = fit.Solve(negativeOffset);
            Result = (bestScale, bestOffset, fit);
        }

        public double Gain { get; }

        public (float Scale, float Offset, AffineFit Fit) Result { get; }

        public Candidate Better(float scale, float offset)
        {
            Candidate other = new(values, weights, highest, negativeOffset, scale, offset);
            return other.Gain > Gain ? other : this;
        }
    }
}

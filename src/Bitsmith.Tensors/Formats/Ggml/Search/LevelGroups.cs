namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The levels that a weight of a group can take, in units of the group's scale, by code.</summary>
internal interface ILevels
{
    /// <summary>The code of the lowest level.</summary>
    static abstract int Lowest { get; }

    /// <summary>The code of the largest level.</summary>
    static abstract int Highest { get; }

    /// <summary>The code of the level nearest to a value.</summary>
    static abstract int Nearest(float value);

    static abstract float Value(int code);

    /// <summary>Whether the levels are all integers from the lowest to the highest.</summary>
    static abstract bool AreIntegers { get; }

    /// <summary>Whether levels are so few that clipping large weights, and a scale of the other sign, are worth a try.</summary>
    static abstract bool Coarse { get; }
}

/// <summary>Weights that are quantized one by one to the levels of <typeparamref name="TLevels"/>.</summary>
internal readonly ref struct LevelGroups<TLevels>(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize) : IScaledGroups
    where TLevels : struct, ILevels
{
    // Where the weight of largest magnitude may fall, in units of the distance to the outermost level: beyond 1 it is clipped.
    private static readonly float[] Reaches = [1.15f, 1.3f, 1.5f, 1.75f, 2.1f, 2.6f];

    private readonly ReadOnlySpan<float> values = values;
    private readonly ReadOnlySpan<float> weights = weights;

    public int Groups => values.Length / groupSize;

    public GroupFit Start(int group)
    {
        ReadOnlySpan<float> x = values.Slice(group * groupSize, groupSize), w = weights.Slice(group * groupSize, groupSize);
        float extreme = Extreme(x);
        if (extreme == 0)
        {
            return Fit(group, 0);
        }

        CandidateList candidates = new(stackalloc float[CandidateList.Capacity], stackalloc float[CandidateList.Capacity]);
        for (int end = 0; end < (TLevels.Coarse ? 2 : 1); end++)
        {
            float outermost = TLevels.Value(end == 0 ? TLevels.Lowest : TLevels.Highest);
            for (int step = -6; step <= 6; step++)
            {
                candidates.Add(extreme / (outermost + (Math.Sign(outermost) * 0.15f * step)));
            }

            for (int i = 0; TLevels.Coarse && i < Reaches.Length; i++)
            {
                candidates.Add(extreme / (outermost * Reaches[i]));
            }
        }

        if (TLevels.AreIntegers)
        {
            return Fit(group, candidates.BestScale(x, w, (int)TLevels.Value(TLevels.Lowest), (int)TLevels.Value(TLevels.Highest)));
        }

        GroupFit best = default;
        foreach (float scale in candidates.Scales)
        {
            GroupFit fit = Fit(group, scale);
            best = fit.Gain > best.Gain ? fit : best;
        }

        return best;
    }

    public GroupFit Fit(int group, float scale)
    {
        float inverse = HalfScale.Inverse(scale);
        double error = 0, product = 0, square = 0;
        int end = (group + 1) * groupSize;
        for (int i = group * groupSize; i < end; i++)
        {
            float x = values[i];
            double w = weights[i];
            float level = TLevels.Value(TLevels.Nearest(x * inverse));
            double difference = x - ((double)scale * level);
            error += w * difference * difference;
            product += w * x * level;
            square += w * level * level;
        }

        return new(error, product, square);
    }

    /// <summary>The code of each weight of a group at the scale.</summary>
    public void Codes(int group, float scale, Span<int> codes)
    {
        float inverse = HalfScale.Inverse(scale);
        for (int i = 0; i < groupSize; i++)
        {
            codes[i] = TLevels.Nearest(values[(group * groupSize) + i] * inverse);
        }
    }

    private static float Extreme(ReadOnlySpan<float> group)
    {
        float extreme = 0;
        foreach (float value in group)
        {
            extreme = Math.Abs(value) > Math.Abs(extreme) ? value : extreme;
        }

        return extreme;
    }
}

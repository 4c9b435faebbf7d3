namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Chooses the scale d of a block, stored as binary16, and a scale code for each of its groups, so that the weighted squared error is small: alternating
/// assignment and least squares within each group, a scan of d against the groups' own best scales, then alternation over the whole block with the
/// stored, rounded values. The block's error is always measured as a decoder will see it.
/// </summary>
internal static class ScaleSearch
{
    private const int MaxGroups = 32, Rounds = 6;

    /// <summary>Returns d as stored, and the code of each group.</summary>
    public static float Find<TGroups>(scoped ref TGroups groups, ScaleCodes codes, scoped Span<int> chosen)
        where TGroups : struct, IScaledGroups, allows ref struct
    {
        Span<float> scales = stackalloc float[MaxGroups];
        Span<double> squares = stackalloc double[MaxGroups];
        scales = scales[..groups.Groups];
        float extreme = 0;
        for (int group = 0; group < scales.Length; group++)
        {
            GroupFit fit = FindGroup(ref groups, group);
            (scales[group], squares[group]) = (fit.BestScale, fit.Square);
            extreme = Math.Abs(fit.BestScale) > Math.Abs(extreme) ? fit.BestScale : extreme;
        }

        float d = HalfScale.Round(scales.Length == 1 ? extreme / codes.Factor(codes.Lowest) : Scan(codes, scales, squares, extreme));
        return Refine(ref groups, codes, scales, chosen, d);
    }

    /// <summary>The best scale of one group on its own, any real number.</summary>
    private static GroupFit FindGroup<TGroups>(scoped ref TGroups groups, int group)
        where TGroups : struct, IScaledGroups, allows ref struct
    {
        GroupFit best = groups.Start(group);
        for (int round = 0; round < Rounds; round++)
        {
            GroupFit fit = groups.Fit(group, best.BestScale);
            if (fit.Gain <= best.Gain)
            {
                break;
            }

            best = fit;
        }

        return best;
    }

    /// <summary>
    /// The d for which the groups' best scales are nearest to multiples that codes can state: each group's error grows with the square of the distance,
    /// times its sum w q^2.
    /// </summary>
    private static float Scan(ScaleCodes codes, ReadOnlySpan<float> scales, ReadOnlySpan<double> squares, float extreme)
    {
        const int Steps = 48;
        float best = 0;
        double least = double.PositiveInfinity;
        for (int end = 0; end < 2; end++)
        {
            float limit = codes.Factor(end == 0 ? codes.Highest : codes.Lowest);
            if (end == 1 && codes.Lowest >= 0)
            {
                break;
            }

            for (int step = 0; step <= Steps; step++)
            {
                // The extreme scale between 60 % and 110 % of the largest factor.
                float d = HalfScale.Round(extreme / (limit * (0.6f + (0.5f * step / Steps))));
                float inverse = HalfScale.Inverse(d);
                double loss = 0;
                for (int group = 0; group < scales.Length; group++)
                {
                    double distance = scales[group] - (d * codes.Factor(codes.Nearest(scales[group] * inverse)));
                    loss += squares[group] * distance * distance;
                }

                (best, least) = loss < least ? (d, loss) : (best, least);
            }
        }

        return best;
    }

    private static float Refine<TGroups>(scoped ref TGroups groups, ScaleCodes codes, scoped ReadOnlySpan<float> scales, scoped Span<int> chosen, float d)
        where TGroups : struct, IScaledGroups, allows ref struct
    {
        Span<int> trial = stackalloc int[scales.Length];
        GroupFit best = Assign(ref groups, codes, scales, chosen, d);
        for (int round = 0; round < Rounds; round++)
        {
            float next = HalfScale.Round(best.BestScale);
            if (next == d)
            {
                break;
            }

            GroupFit fit = Assign(ref groups, codes, scales, trial, next);
            if (fit.Error >= best.Error)
            {
                break;
            }

            (d, best) = (next, fit);
            trial.CopyTo(chosen);
        }

        return d;
    }

    /// <summary>The best code of each group at a given d, and the sums of the whole block in units of d.</summary>
    private static GroupFit Assign<TGroups>(scoped ref TGroups groups, ScaleCodes codes, scoped ReadOnlySpan<float> scales, scoped Span<int> chosen, float d)
        where TGroups : struct, IScaledGroups, allows ref struct
    {
        float inverse = HalfScale.Inverse(d);
        GroupFit total = default;
        for (int group = 0; group < scales.Length; group++)
        {
            int nearest = codes.Nearest(scales[group] * inverse);
            GroupFit best = default;
            for (int code = Math.Max(nearest - 1, codes.Lowest); code <= Math.Min(nearest + 1, codes.Highest); code++)
            {
                float factor = codes.Factor(code);
                GroupFit fit = groups.Fit(group, d * factor);
                if (best == default || fit.Error < best.Error)
                {
                    best = new GroupFit(fit.Error, fit.Product * factor, fit.Square * factor * factor);
                    chosen[group] = code;
                }
            }

            total += best;
        }

        return total;
    }
}

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Chooses what a block with scales and minima stores, x ~ d scale_g code - m minimum_g: d and m as binary16, integer scales and minima for each group.
/// Groups are first searched on their own; then d and m are scanned against the groups' best, and codes and least squares alternate over the whole
/// block with the stored, rounded values.
/// </summary>
internal ref struct MinimumScales
{
    private const int Rounds = 5;

    private readonly ReadOnlySpan<float> values;
    private readonly ReadOnlySpan<float> weights;
    private readonly int groupSize;
    private readonly int highestCode;
    private readonly int highestScale;

    /// <summary>Searches a block; the spans receive the integer scale and minimum of each group.</summary>
    public MinimumScales(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize, int highestCode, int highestScale, Span<int> scales, Span<int> minima)
    {
        (this.groupSize, this.highestCode, this.highestScale) = (groupSize, highestCode, highestScale);
        this.weights = weights;

        // Offsets can only be of one sign, that of -m. Where more groups lie above zero than below, the mirrored block is encoded and d and m are negated.
        bool mirrored = LiesAbove(values, groupSize);
        Span<float> turned = mirrored ? new float[values.Length] : [];
        for (int i = 0; i < turned.Length; i++)
        {
            turned[i] = -values[i];
        }

        this.values = mirrored ? turned : values;
        Search(scales, minima);
        (D, M) = mirrored ? (-D, -M) : (D, M);
    }

    /// <summary>The factor of the scales, as stored.</summary>
    public float D { get; private set; }

    /// <summary>The factor of the minima, as stored.</summary>
    public float M { get; private set; }

    private void Search(Span<int> scales, Span<int> minima)
    {
        int groups = values.Length / groupSize;
        Span<float> ownScales = stackalloc float[groups], ownMinima = stackalloc float[groups];
        Span<double> squares = stackalloc double[groups], sums = stackalloc double[groups];
        for (int group = 0; group < groups; group++)
        {
            int start = group * groupSize;
            (float scale, float offset, AffineFit fit) =
                AffineSearch.Find(values.Slice(start, groupSize), weights.Slice(start, groupSize), highestCode, negativeOffset: true);
            (ownScales[group], ownMinima[group], squares[group], sums[group]) = (Math.Max(scale, 0), -offset, fit.CodeSquare, fit.Weight);
        }

        D = Scan(ownScales, squares);
        M = Scan(ownMinima, sums);
        Span<int> trialScales = stackalloc int[groups], trialMinima = stackalloc int[groups];
        (double error, float d, float m) = Assign(ownScales, ownMinima, scales, minima);
        for (int round = 0; round < Rounds; round++)
        {
            (float oldD, float oldM) = (D, M);
            (D, M) = (HalfScale.Round(d), HalfScale.Round(m));
            if ((D, M) == (oldD, oldM))
            {
                break;
            }

            (double nextError, d, m) = Assign(ownScales, ownMinima, trialScales, trialMinima);
            if (nextError >= error)
            {
                (D, M) = (oldD, oldM);
                break;
            }

            error = nextError;
            trialScales.CopyTo(scales);
            trialMinima.CopyTo(minima);
        }
    }

    /// <summary>The unit in which the wanted numbers are nearest to integers up to the highest scale.</summary>
    private readonly float Scan(ReadOnlySpan<float> wanted, ReadOnlySpan<double> squares)
    {
        const int Steps = 48;
        float largest = 0;
        foreach (float value in wanted)
        {
            largest = Math.Max(largest, value);
        }

        float best = 0;
        double least = double.PositiveInfinity;
        for (int step = 0; step <= Steps; step++)
        {
            float unit = HalfScale.Round(largest / (highestScale * (0.6f + (0.5f * step / Steps))));
            float inverse = HalfScale.Inverse(unit);
            double loss = 0;
            for (int group = 0; group < wanted.Length; group++)
            {
                double distance = wanted[group] - (unit * Code(wanted[group], inverse));
                loss += squares[group] * distance * distance;
            }

            (best, least) = loss < least ? (unit, loss) : (best, least);
        }

        return best;
    }

    private readonly float Code(float wanted, float inverse) => Math.Clamp(MathF.Round(wanted * inverse), 0, highestScale);

    /// <summary>The best integers of each group at the present D and M; returns the block's error and the D and M of least squares for them.</summary>
    private readonly (double Error, float D, float M) Assign(
        ReadOnlySpan<float> ownScales, ReadOnlySpan<float> ownMinima, scoped Span<int> scales, scoped Span<int> minima)
    {
        float inverseD = HalfScale.Inverse(D), inverseM = HalfScale.Inverse(M);
        double error = 0, aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
        for (int group = 0; group < ownScales.Length; group++)
        {
            ReadOnlySpan<float> x = values.Slice(group * groupSize, groupSize), w = weights.Slice(group * groupSize, groupSize);
            int nearest = (int)Code(ownScales[group], inverseD);
            AffineFit best = default;
            double least = double.PositiveInfinity;
            for (int scale = Math.Max(nearest - 1, 0); scale <= Math.Min(nearest + 1, highestScale); scale++)
            {
                // The minimum for this scale: nearest to the group's own, then corrected by what least squares says for the codes.
                float step = D * scale;
                int minimum = (int)Code(ownMinima[group], inverseM), previous = -1;
                for (int pass = 0; pass < 3 && minimum != previous; pass++)
                {
                    AffineFit fit = AffineFit.Of(x, w, step, -(M * minimum), highestCode);
                    if (fit.Error < least)
                    {
                        (best, least, scales[group], minima[group]) = (fit, fit.Error, scale, minimum);
                    }

                    previous = minimum;
                    minimum = (int)Code((float)(((step * fit.Code) - fit.Value) / fit.Weight), inverseM);
                }
            }

            (double s, double b) = (scales[group], minima[group]);
            error += least;
            aa += s * s * best.CodeSquare;
            ab += s * b * best.Code;
            bb += b * b * best.Weight;
            xa += s * best.Product;
            xb += b * best.Value;
        }

        // Least squares of x = D a - M b over the block.
        double determinant = (aa * bb) - (ab * ab);
        return determinant > 1e-9 * aa * bb
            ? (error, (float)(((xa * bb) - (xb * ab)) / determinant), (float)(((xa * ab) - (xb * aa)) / determinant))
            : (error, aa > 0 ? (float)(xa / aa) : D, M);
    }

    private static bool LiesAbove(ReadOnlySpan<float> values, int groupSize)
    {
        double above = 0, below = 0;
        for (int start = 0; start < values.Length; start += groupSize)
        {
            float low = float.PositiveInfinity, high = float.NegativeInfinity;
            foreach (float value in values.Slice(start, groupSize))
            {
                (low, high) = (Math.Min(low, value), Math.Max(high, value));
            }

            above += Math.Max(low, 0);
            below += Math.Max(-high, 0);
        }

        return above > below;
    }
}

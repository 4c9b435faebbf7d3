namespace Bitsmith.Quantization.Allocation;

/// <summary>How much the rounding of rows costs, in the currency of a method.</summary>
internal interface IRowCost
{
    /// <summary>Numbers that are kept of each row.</summary>
    int Numbers { get; }

    /// <summary>Looks at a row.</summary>
    /// <param name="weights">The row.</param>
    /// <param name="errors">Decoded less original weights.</param>
    /// <param name="inputs">What it is multiplied with.</param>
    /// <param name="numbers">Receives what is kept.</param>
    void Measure(ReadOnlySpan<float> weights, ReadOnlySpan<float> errors, InputMoments inputs, Span<double> numbers);

    /// <summary>The costs of types for a matrix.</summary>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="inputs">What it is multiplied with.</param>
    /// <param name="sampled">For each type, the numbers of the sampled rows.</param>
    /// <returns>A cost for each type.</returns>
    double[] Costs(int rows, InputMoments inputs, IReadOnlyList<double[]> sampled);
}

/// <summary>
/// The expected squared error of a matrix's outputs, inputs being uncorrelated but for their means: Σ over rows of Σ s e² + (Σ μ e)², μ the means of the inputs, s their variances, e the errors of a row's weights.
/// </summary>
internal sealed class OutputErrorCost : IRowCost
{
    public int Numbers => 1;

    public void Measure(ReadOnlySpan<float> weights, ReadOnlySpan<float> errors, InputMoments inputs, Span<double> numbers)
    {
        double sum = 0, projection = 0;
        for (int i = 0; i < errors.Length; i++)
        {
            double error = errors[i], mean = inputs.Means is null ? 0 : inputs.Means[i];
            sum += Math.Max(0, inputs.Squares[i] - (mean * mean)) * error * error;
            projection += mean * error;
        }

        numbers[0] = sum + (projection * projection);
    }

    public double[] Costs(int rows, InputMoments inputs, IReadOnlyList<double[]> sampled) => [.. sampled.Select(each => each.Sum() * rows / each.Length)];
}

/// <summary>
/// The measure that release 001 was made with: relative weighted squared errors of rows, each counting 1, and where it decides the part of the error along the mean input.
/// </summary>
/// <remarks>Source: the pull request that release 001 names, restated from its description. Means without the 2.5 % at either end where there are fifty rows or more.</remarks>
internal sealed class WeightErrorCost : IRowCost
{
    private const double Tiny = 1e-12, TrimmedShare = 0.025, DecidingRatio = 0.5;
    private const int LeastTrimmed = 50;

    public int Numbers => 2;

    public void Measure(ReadOnlySpan<float> weights, ReadOnlySpan<float> errors, InputMoments inputs, Span<double> numbers)
    {
        double error = 0, norm = 0, projection = 0, along = 0;
        for (int i = 0; i < errors.Length; i++)
        {
            double square = inputs.Squares[i], mean = inputs.Means is null ? 0 : inputs.Means[i];
            error += square * errors[i] * errors[i];
            norm += square * weights[i] * weights[i];
            projection += square * errors[i] * mean;
            along += square * mean * mean;
        }

        (numbers[0], numbers[1]) = (error / (norm + Tiny), projection * projection / (along + Tiny));
    }

    public double[] Costs(int rows, InputMoments inputs, IReadOnlyList<double[]> sampled)
    {
        double[] errors = [.. sampled.Select(each => rows * TrimmedMean(each, 0))], projections = [.. sampled.Select(each => rows * TrimmedMean(each, 1))];
        double weight = WeightOf(inputs);
        double[] all = [.. errors.Zip(projections, (error, projection) => error + (weight * projection))];
        bool decides = Array.IndexOf(all, all.Min()) != Array.IndexOf(errors, errors.Min()) || errors.Zip(projections).Any(pair => weight * pair.Second >= DecidingRatio * pair.First && pair.First > 0);
        return decides ? all : errors;
    }

    /// <summary>How concentrated the energy of the inputs is: 0 where their means are not known, at most 6.</summary>
    private static double WeightOf(InputMoments inputs)
    {
        if (inputs.Means is null)
        {
            return 0;
        }

        double sum = 0, squares = 0;
        for (int i = 0; i < inputs.Squares.Length; i++)
        {
            double energy = inputs.Squares[i] * (double)inputs.Means[i] * inputs.Means[i];
            sum += energy;
            squares += energy * energy;
        }

        double concentration = sum > 0 ? Math.Max(0, (squares / (sum * sum)) - (1.0 / inputs.Squares.Length)) : 0;
        return Math.Clamp(12 * concentration / (concentration + 1), 0, 16);
    }

    private double TrimmedMean(double[] numbers, int which)
    {
        double[] ordered = [.. numbers.Where((_, index) => index % Numbers == which).Order()];
        int cut = ordered.Length >= LeastTrimmed ? (int)(TrimmedShare * ordered.Length) : 0;
        return ordered.AsSpan(cut, ordered.Length - (2 * cut)) is { Length: > 0 } kept ? Mean(kept) : 0;

        static double Mean(ReadOnlySpan<double> values)
        {
            double sum = 0;
            foreach (double value in values)
            {
                sum += value;
            }

            return sum / values.Length;
        }
    }
}

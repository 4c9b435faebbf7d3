namespace Bitsmith.Evaluation;

/// <summary>A figure and its standard error. Errors take tokens as independent.</summary>
/// <param name="Value">The figure.</param>
/// <param name="Error">The standard error; 0 where there are too few tokens to tell.</param>
public readonly record struct Estimate(double Value, double Error)
{
    /// <summary>Of so many values and fewer no error is told, as by llama-perplexity --kl-divergence.</summary>
    internal const int FewestForError = 10;

    /// <summary>A mean with √((mean x² - mean²) / (n - 1)), llama-perplexity's standard error.</summary>
    /// <param name="sum">Σ x.</param>
    /// <param name="squares">Σ x².</param>
    /// <param name="count">n, at least 1.</param>
    internal static Estimate OfMean(double sum, double squares, int count)
    {
        double mean = sum / count, variance = (squares / count) - (mean * mean);
        return new Estimate(mean, count > FewestForError && variance > 0 ? Math.Sqrt(variance / (count - 1)) : 0);
    }

    /// <summary>e to the figure; the error is that of the figure times the result.</summary>
    internal Estimate Exponential() => new(Math.Exp(Value), Math.Exp(Value) * Error);
}

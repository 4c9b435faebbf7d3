namespace Bitsmith.Tensors.Measurement;

/// <summary>A measured rate, per second.</summary>
/// <param name="Threads">Threads at work together.</param>
/// <param name="Best">The fastest pass: what the machine can do.</param>
/// <param name="Median">The middle pass: what it did; far below the best where something else runs.</param>
/// <param name="Passes">Passes measured.</param>
public sealed record Rate(int Threads, double Best, double Median, int Passes)
{
    /// <summary>The rate of passes that did the same work.</summary>
    /// <param name="threads">Threads.</param>
    /// <param name="work">Bytes or operations of all threads in one pass.</param>
    /// <param name="seconds">Of each pass, at least one.</param>
    internal static Rate Of(int threads, double work, IReadOnlyList<double> seconds)
    {
        double[] sorted = [.. seconds.Order()];
        return new Rate(threads, work / sorted[0], work / sorted[sorted.Length / 2], sorted.Length);
    }
}

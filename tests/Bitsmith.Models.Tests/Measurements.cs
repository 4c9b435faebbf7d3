using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Models.Tests;

/// <summary>
/// Compares results with the real library's and, where the environment variable BITSMITH_MEASUREMENTS names a file, adds what was found to it before it judges: lines of the model, the kernels, the
/// quantity, its value and how many numbers it speaks for, with tabs between them. proofs/3-1 makes its tables of them.
/// </summary>
internal sealed class Measurements(string model, string kernels)
{
    private static readonly string? File = Environment.GetEnvironmentVariable("BITSMITH_MEASUREMENTS");
    private static readonly Lock Gate = new();

    public Measurements(string model, InstructionSet set)
        : this(model, set.ToString())
    {
    }

    /// <summary>The largest difference, relative to the largest magnitude of the reference, is at most the tolerance.</summary>
    public void Close(string quantity, float[] expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        (double difference, double largest) = Golden.Difference(expected, actual);
        Record(quantity, difference == 0 ? 0 : difference / largest, expected.Length);
        Golden.AssertClose(expected, actual, tolerance, $"{model} {kernels} {what}");
    }

    /// <summary>Every integer is the same.</summary>
    public void Same(string quantity, IReadOnlyList<int> expected, IReadOnlyList<int> actual)
    {
        int different = Math.Abs(expected.Count - actual.Count) + expected.Zip(actual).Count(pair => pair.First != pair.Second);
        Record(quantity, different, expected.Count);
        Assert.Equal(expected, actual);
    }

    public void Record(string quantity, double value, int count)
    {
        if (File is not null)
        {
            lock (Gate)
            {
                System.IO.File.AppendAllText(File, $"{model}\t{kernels}\t{quantity}\t{value:g4}\t{count}\n");
            }
        }
    }
}

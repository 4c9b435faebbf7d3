namespace Bitsmith.Tensors.Gptq;

/// <summary>How GPTQ goes on behind its one pass over the columns.</summary>
/// <param name="Sweeps">Most times that scales and codes of every group are then made the best that they can be with all others as they are; the error never grows. A panel of rows ends before, once nothing changes. 0 for none.</param>
public sealed record GptqOptions(int Sweeps = 8);

/// <summary>What rounding costs the outputs of a Linear on the samples, summed over rows and tokens.</summary>
/// <param name="Error">Squared errors.</param>
/// <param name="LibraryError">Squared errors with the library's scales and codes instead.</param>
/// <param name="Signal">Squares of the outputs.</param>
public readonly record struct GptqLoss(double Error, double LibraryError, double Signal)
{
    /// <summary>Of both.</summary>
    public static GptqLoss operator +(GptqLoss left, GptqLoss right) => new(left.Error + right.Error, left.LibraryError + right.LibraryError, left.Signal + right.Signal);
}

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// What encoding lost, as sums that can be added block by block. Sums are binary64; they are formed in a fixed order (sixteen
/// lanes by column, then lane 0 to 15, then blocks), so every instruction set and thread count gives the same bits.
/// </summary>
/// <param name="SquaredError">Sum of (original - decoded)^2.</param>
/// <param name="SquaredSignal">Sum of original^2.</param>
/// <param name="MaxAbsolute">Largest |original - decoded|.</param>
/// <param name="Count">Number of elements.</param>
public readonly record struct QuantizationError(double SquaredError, double SquaredSignal, double MaxAbsolute, long Count)
{
    /// <summary>Root of the mean squared error over the root of the mean squared original; 0 where the original is all zero and so is the error.</summary>
    public double RelativeRmse => SquaredError == 0 ? 0 : Math.Sqrt(SquaredError / SquaredSignal);

    /// <summary>Signal to noise ratio in decibels, 10 log10(signal / error); infinite where nothing was lost.</summary>
    public double SignalToNoiseDecibels => SquaredError == 0 ? double.PositiveInfinity : 10 * Math.Log10(SquaredSignal / SquaredError);

    /// <summary>The error of two parts together.</summary>
    public static QuantizationError operator +(QuantizationError left, QuantizationError right) => new(
        left.SquaredError + right.SquaredError,
        left.SquaredSignal + right.SquaredSignal,
        Math.Max(left.MaxAbsolute, right.MaxAbsolute),
        left.Count + right.Count);

    /// <summary>Adds two errors; the named form of <c>+</c>.</summary>
    public static QuantizationError Add(QuantizationError left, QuantizationError right) => left + right;
}

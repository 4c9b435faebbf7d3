using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

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

    /// <summary>Compares decoded values with the originals.</summary>
    /// <param name="original">The values before encoding.</param>
    /// <param name="decoded">As many values after it.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static QuantizationError Between(ReadOnlySpan<float> original, ReadOnlySpan<float> decoded)
    {
        if (original.Length != decoded.Length)
        {
            throw new ArgumentException($"{decoded.Length} values cannot be compared with {original.Length}.", nameof(decoded));
        }

        // Sixteen lanes, eight binary64 sums in each of two registers; the operations are the same, in the same order, on every instruction set.
        Vector512<double> error0 = default, error1 = default, signal0 = default, signal1 = default;
        Vector512<float> largest = default;
        int i = 0;
        for (; i <= original.Length - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            Vector512<float> x = Vector512.Create(original[i..]), difference = x - Vector512.Create(decoded[i..]);
            (Vector512<double> low, Vector512<double> high) = Vector512.Widen(difference);
            (Vector512<double> lowSignal, Vector512<double> highSignal) = Vector512.Widen(x);
            error0 += low * low;
            error1 += high * high;
            signal0 += lowSignal * lowSignal;
            signal1 += highSignal * highSignal;
            largest = Vector512.Max(largest, Vector512.Abs(difference));
        }

        (double squaredError, double squaredSignal, double most) = (0, 0, 0);
        for (int lane = 0; lane < 2 * Vector512<double>.Count; lane++)
        {
            (Vector512<double> error, Vector512<double> signal) = lane < Vector512<double>.Count ? (error0, signal0) : (error1, signal1);
            squaredError += error[lane % Vector512<double>.Count];
            squaredSignal += signal[lane % Vector512<double>.Count];
            most = Math.Max(most, largest[lane]);
        }

        for (; i < original.Length; i++)
        {
            double difference = original[i] - decoded[i];
            squaredError += difference * difference;
            squaredSignal += (double)original[i] * original[i];
            most = Math.Max(most, Math.Abs(difference));
        }

        return new QuantizationError(squaredError, squaredSignal, most, original.Length);
    }

    /// <summary>The error of two parts together.</summary>
    public static QuantizationError operator +(QuantizationError left, QuantizationError right) => new(
        left.SquaredError + right.SquaredError,
        left.SquaredSignal + right.SquaredSignal,
        Math.Max(left.MaxAbsolute, right.MaxAbsolute),
        left.Count + right.Count);

    /// <summary>Adds two errors; the named form of <c>+</c>.</summary>
    public static QuantizationError Add(QuantizationError left, QuantizationError right) => left + right;
}

using System.Runtime.Intrinsics;

namespace Bitsmith.Tensors.Formats;

/// <summary>A weight is NaN or infinite, so no scale exists for its block.</summary>
/// <param name="row">Row within what was encoded.</param>
/// <param name="column">Column.</param>
/// <param name="value">NaN or an infinity.</param>
public sealed class NonFiniteWeightException(long row, long column, float value)
    : Exception($"the weight at row {row}, column {column} is {value}; a block that holds it has no finite scale")
{
    /// <summary>Row within what was encoded.</summary>
    public long Row { get; } = row;

    /// <summary>Column.</summary>
    public long Column { get; } = column;

    /// <summary>NaN or an infinity.</summary>
    public float Value { get; } = value;

    /// <summary>Throws for the first value of a matrix that is not finite.</summary>
    internal static void ThrowIfAny(ReadOnlySpan<float> values, int columns)
    {
        // The product with zero is zero for all numbers but the infinite ones and NaN.
        Vector128<float> sum = Vector128<float>.Zero;
        int i = 0;
        for (; i <= values.Length - Vector128<float>.Count; i += Vector128<float>.Count)
        {
            sum += Vector128.LoadUnsafe(in values[i]) * Vector128<float>.Zero;
        }

        for (i = sum == Vector128<float>.Zero ? i : 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw new NonFiniteWeightException(i / columns, i % columns, values[i]);
            }
        }
    }
}

using System.Numerics;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>Arithmetic on rows, one binary32 operation for each element.</summary>
internal static class RowScaling
{
    /// <summary>rows[r, c] = rows[r, c] · factors[c].</summary>
    public static void Multiply(Span<float> rows, ReadOnlySpan<float> factors)
    {
        for (; !rows.IsEmpty; rows = rows[factors.Length..])
        {
            int i = 0;
            for (; i <= factors.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                (new Vector<float>(rows[i..]) * new Vector<float>(factors[i..])).CopyTo(rows[i..]);
            }

            for (; i < factors.Length; i++)
            {
                rows[i] *= factors[i];
            }
        }
    }

    /// <summary>rows[r, c] = rows[r, c] / divisors[c].</summary>
    public static void Divide(Span<float> rows, ReadOnlySpan<float> divisors)
    {
        for (; !rows.IsEmpty; rows = rows[divisors.Length..])
        {
            int i = 0;
            for (; i <= divisors.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                (new Vector<float>(rows[i..]) / new Vector<float>(divisors[i..])).CopyTo(rows[i..]);
            }

            for (; i < divisors.Length; i++)
            {
                rows[i] /= divisors[i];
            }
        }
    }

    /// <summary>target = values - others.</summary>
    public static void Subtract(ReadOnlySpan<float> values, ReadOnlySpan<float> others, Span<float> target)
    {
        int i = 0;
        for (; i <= values.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            (new Vector<float>(values[i..]) - new Vector<float>(others[i..])).CopyTo(target[i..]);
        }

        for (; i < values.Length; i++)
        {
            target[i] = values[i] - others[i];
        }
    }
}

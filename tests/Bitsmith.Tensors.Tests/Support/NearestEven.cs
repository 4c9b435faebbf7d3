namespace Bitsmith.Tensors.Tests.Support;

/// <summary>
/// Small float formats defined by their fields, in binary64 and with nothing taken from the code under test. Rounding is nearest, ties
/// to even, of the exact value.
/// </summary>
internal static class NearestEven
{
    /// <summary>The value of a finite code, and NaN or an infinity where <paramref name="infinities"/> reserves the top exponent.</summary>
    public static double Value(int code, int exponentBits, int significandBits, bool infinities)
    {
        int significand = code & ((1 << significandBits) - 1);
        int exponent = (code >> significandBits) & ((1 << exponentBits) - 1);
        int bias = (1 << (exponentBits - 1)) - 1, top = (1 << exponentBits) - 1;
        double magnitude =
            infinities && exponent == top ? (significand == 0 ? double.PositiveInfinity : Math.CopySign(double.NaN, 1))
            : exponent == 0 ? Math.ScaleB(significand, 1 - bias - significandBits)
            : Math.ScaleB((1 << significandBits) + significand, exponent - bias - significandBits);
        return code >> (exponentBits + significandBits) == 0 ? magnitude : -magnitude;
    }

    /// <summary>Rounds to a format of <paramref name="significandBits"/> stored bits and an unlimited upper range.</summary>
    public static double Round(double value, int exponentBits, int significandBits)
    {
        if (value == 0 || !double.IsFinite(value))
        {
            return value;
        }

        int smallest = 2 - (1 << (exponentBits - 1));
        int unit = Math.Max(Math.ILogB(value), smallest) - significandBits;
        return Math.CopySign(Math.ScaleB(Math.Round(Math.ScaleB(Math.Abs(value), -unit), MidpointRounding.ToEven), unit), value);
    }

    public static double ToBFloat16(double value)
    {
        double rounded = Round(value, 8, 7);
        return Math.Abs(rounded) > (double)Math.ScaleB(255, 120) ? Math.CopySign(double.PositiveInfinity, value) : rounded;
    }

    public static double ToHalf(double value)
    {
        double rounded = Round(value, 5, 10);
        return Math.Abs(rounded) > 65504 ? Math.CopySign(double.PositiveInfinity, value) : rounded;
    }

    public static double ToE4M3(double value) => Math.CopySign(Math.Min(Math.Abs(Round(value, 4, 3)), 448), value);

    /// <summary>True for the same value and the same sign of zero; any NaN equals any NaN of the same sign.</summary>
    public static bool Same(double left, double right) =>
        double.IsNegative(left) == double.IsNegative(right) && (left == right || (double.IsNaN(left) && double.IsNaN(right)));
}

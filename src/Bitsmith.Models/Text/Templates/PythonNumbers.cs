using System.Globalization;
using System.Numerics;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Numbers as Python reads and writes them.</summary>
internal static class PythonNumbers
{
    /// <summary>Python refuses to write or read whole numbers of more decimal digits.</summary>
    public const int MaxDigits = 4300;

    /// <summary>The bits of the largest whole number held; its decimal digits are the bound above.</summary>
    public const int MaxBits = 14284;

    public static int DigitOf(char c) => c switch
    {
        >= '0' and <= '9' => c - '0',
        >= 'a' and <= 'z' => c - 'a' + 10,
        >= 'A' and <= 'Z' => c - 'A' + 10,
        _ => int.MaxValue,
    };

    /// <summary>A row of valid digits, underscores skipped; null where it is too long.</summary>
    public static BigInteger? ParseDigits(ReadOnlySpan<char> digits, int radix)
    {
        if (digits.Length > 2 * MaxBits)
        {
            return null;
        }

        if (radix == 10)
        {
            string plain = digits.ToString().Replace("_", string.Empty, StringComparison.Ordinal);
            return plain.Length <= MaxDigits ? BigInteger.Parse(plain, NumberStyles.None, CultureInfo.InvariantCulture) : null;
        }

        BigInteger value = BigInteger.Zero;
        foreach (char c in digits)
        {
            value = c == '_' ? value : (value * radix) + DigitOf(c);
        }

        return value.GetBitLength() <= MaxBits ? value : null;
    }

    /// <summary>Python's int(text, radix); null where Python raises ValueError.</summary>
    public static BigInteger? ParseInteger(string text, int radix)
    {
        string trimmed = PythonText.Strip(text, null, start: true, end: true);
        int at = trimmed.Length > 0 && trimmed[0] is '+' or '-' ? 1 : 0;
        bool negative = at == 1 && trimmed[0] == '-';
        ReadOnlySpan<char> digits = trimmed.AsSpan(at);
        if (digits.Length > 2 && digits[0] == '0')
        {
            int prefixed = char.ToLowerInvariant(digits[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 };
            if (prefixed != 0 && (radix == prefixed || radix == 0))
            {
                radix = prefixed;
                digits = digits[2..];
                digits = digits[0] == '_' ? digits[1..] : digits;
            }
        }

        radix = radix == 0 ? 10 : radix;
        bool behindDigit = false;
        foreach (char c in digits)
        {
            if (c == '_' ? !behindDigit : DigitOf(c) >= radix)
            {
                return null;
            }

            behindDigit = c != '_';
        }

        if (!behindDigit)
        {
            return null;
        }

        BigInteger? value = ParseDigits(digits, radix);
        return negative ? -value : value;
    }

    /// <summary>Python's float(text); null where Python raises ValueError.</summary>
    public static double? ParseFloat(string text)
    {
        string trimmed = PythonText.Strip(text, null, start: true, end: true);
        string unsigned = trimmed.Length > 0 && trimmed[0] is '+' or '-' ? trimmed[1..] : trimmed;
        double sign = trimmed.StartsWith('-') ? -1 : 1;
        switch (unsigned.ToLowerInvariant())
        {
            case "inf" or "infinity": return sign * double.PositiveInfinity;
            case "nan": return double.NaN;
        }

        for (int i = 0; i < unsigned.Length; i++)
        {
            if (unsigned[i] == '_' && (i == 0 || i + 1 == unsigned.Length || !char.IsAsciiDigit(unsigned[i - 1]) || !char.IsAsciiDigit(unsigned[i + 1])))
            {
                return null;
            }
        }

        if (unsigned.Length == 0 || !(char.IsAsciiDigit(unsigned[0]) || unsigned[0] == '.'))
        {
            return null;
        }

        return double.TryParse(
            unsigned.Replace("_", string.Empty, StringComparison.Ordinal), NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
            CultureInfo.InvariantCulture, out double value) ? sign * value : null;
    }

    /// <summary>A double as Python's repr writes it: the shortest digits that read back, an exponent below 1e-4 and from 1e16.</summary>
    public static string Repr(double value)
    {
        if (!double.IsFinite(value))
        {
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }

        if (value == 0)
        {
            return double.IsNegative(value) ? "-0.0" : "0.0";
        }

        // "E16" would round; the shortest digits come from the plain form, in which they only have to be found.
        string plain = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture);
        int e = plain.IndexOf('E', StringComparison.Ordinal);
        int exponent = e < 0 ? 0 : int.Parse(plain.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        string mantissa = e < 0 ? plain : plain[..e];
        int dot = mantissa.IndexOf('.', StringComparison.Ordinal);
        int point = (dot < 0 ? mantissa.Length : dot) + exponent;
        string digits = mantissa.Replace(".", string.Empty, StringComparison.Ordinal);
        int zeros = digits.Length - digits.TrimStart('0').Length;
        digits = digits.Trim('0');
        point -= zeros;

        StringBuilder text = new(value < 0 ? "-" : string.Empty);
        if (point is > -4 and <= 16)
        {
            return (point <= 0 ? text.Append("0.").Append('0', -point).Append(digits)
                : point >= digits.Length ? text.Append(digits).Append('0', point - digits.Length).Append(".0")
                : text.Append(digits.AsSpan(0, point)).Append('.').Append(digits.AsSpan(point))).ToString();
        }

        text.Append(digits[0]);
        if (digits.Length > 1)
        {
            text.Append('.').Append(digits.AsSpan(1));
        }

        int shown = point - 1;
        return text.Append(shown < 0 ? "e-" : "e+").Append(Math.Abs(shown).ToString("00", CultureInfo.InvariantCulture)).ToString();
    }

    /// <summary>A finite double times ten to the given power, rounded to a whole number, halves to even: exact, as Python's round and %f are.</summary>
    public static BigInteger Scaled(double value, int digits)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)((bits >> 52) & 0x7FF);
        BigInteger numerator = (bits & 0xFFFFFFFFFFFFFL) | (exponent == 0 ? 0 : 1L << 52);
        exponent = Math.Max(exponent, 1) - 1075;
        BigInteger denominator = BigInteger.One;
        numerator = exponent > 0 ? numerator << exponent : numerator;
        denominator = exponent < 0 ? denominator << -exponent : denominator;
        numerator *= digits > 0 ? BigInteger.Pow(10, digits) : BigInteger.One;
        denominator *= digits < 0 ? BigInteger.Pow(10, -digits) : BigInteger.One;
        BigInteger rounded = DivideToEven(numerator, denominator);
        return bits < 0 ? -rounded : rounded;
    }

    /// <summary>A quotient of a number that is not negative and one that is positive, halves to even.</summary>
    public static BigInteger DivideToEven(BigInteger numerator, BigInteger denominator)
    {
        BigInteger quotient = BigInteger.DivRem(numerator, denominator, out BigInteger remainder);
        int half = (remainder * 2).CompareTo(denominator);
        return half > 0 || (half == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }

    /// <summary>Python's round(value, digits) of a double.</summary>
    public static double Round(double value, int digits)
    {
        // A double has no digits behind the 323rd, and none is as large as 1e309.
        if (!double.IsFinite(value) || digits > 323)
        {
            return value;
        }

        if (digits < -308)
        {
            return value < 0 || double.IsNegative(value) ? -0.0 : 0.0;
        }

        double rounded = double.Parse($"{BigInteger.Abs(Scaled(value, digits))}E{-digits}", NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsInfinity(rounded) ? throw TemplateFault.Operation("rounded value too large to represent")
            : double.IsNegative(value) ? -rounded : rounded;
    }
}

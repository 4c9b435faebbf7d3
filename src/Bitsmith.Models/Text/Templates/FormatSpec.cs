using System.Globalization;
using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>The part of a format behind the colon or the percent sign: fill, alignment, sign, width, grouping, precision and type.</summary>
internal sealed record FormatSpec
{
    /// <summary>Digits and blanks that one field may have; Python's own bounds are far higher.</summary>
    private const int MaxWidth = 10_000;

    public string Fill { get; init; } = " ";

    public char Align { get; init; }

    public char Sign { get; init; } = '-';

    public bool Alternate { get; init; }

    public int Width { get; init; }

    public char Grouping { get; init; }

    public int Precision { get; init; } = -1;

    public char Type { get; init; }

    /// <summary>Python's format specification mini-language.</summary>
    public static FormatSpec Parse(string text)
    {
        string[] points = [.. PythonText.Elements(text)];
        int at = 0;
        FormatSpec spec = new();
        if (points.Length > 1 && IsAlign(points[1]))
        {
            spec = spec with { Fill = points[0], Align = points[1][0] };
            at = 2;
        }
        else if (points.Length > 0 && IsAlign(points[0]))
        {
            spec = spec with { Align = points[0][0] };
            at = 1;
        }

        if (Is(points, at, "+- "))
        {
            spec = spec with { Sign = points[at++][0] };
        }

        if (Is(points, at, "#"))
        {
            spec = spec with { Alternate = true };
            at++;
        }

        if (Is(points, at, "0"))
        {
            spec = spec.Align == '\0' ? spec with { Fill = "0", Align = '=' } : spec;
            at++;
        }

        spec = spec with { Width = Number(points, ref at, 0) };
        if (Is(points, at, ",_"))
        {
            spec = spec with { Grouping = points[at++][0] };
        }

        if (Is(points, at, "."))
        {
            at++;
            int precision = Number(points, ref at, -1);
            spec = spec with { Precision = precision >= 0 ? precision : throw TemplateFault.Operation("Format specifier missing precision") };
        }

        if (at < points.Length && points[at].Length == 1)
        {
            spec = spec with { Type = points[at++][0] };
        }

        return at == points.Length ? spec : throw TemplateFault.Operation($"Invalid format specifier {PythonText.Repr(text)}");
    }

    public string Apply(Evaluator evaluator, TemplateValue value)
    {
        switch (value)
        {
            case FloatValue number:
                return ApplyFloat(number.Value);
            case IntValue or BoolValue when Type != '\0' || value is IntValue:
                BigInteger whole = Operators.WholeOf(value)!.Value;
                return Type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%'
                    ? ApplyFloat(Arithmetic.FloatOf(value)!.Value) : ApplyWhole(whole);
            case StringValue text when Type is '\0' or 's' && Align != '=':
                return Padded(Cut(text.Value), string.Empty, '<');
            default:
                return this == new FormatSpec() ? evaluator.TextOf(value)
                    : throw TemplateFault.Operation($"unsupported format string passed to {value.TypeName}.__format__");
        }
    }

    /// <summary>A text cut to the precision.</summary>
    public string Cut(string text) => Precision < 0 || PythonText.Length(text) <= Precision ? text : text[..PythonText.Starts(text)[Precision]];

    public string ApplyWhole(BigInteger value)
    {
        string sign = value.Sign < 0 ? "-" : Sign == '-' ? string.Empty : Sign.ToString();
        BigInteger magnitude = BigInteger.Abs(value);
        (string prefix, string digits) = Type switch
        {
            '\0' or 'd' or 'n' or 'i' or 'u' => (string.Empty, magnitude.ToString()),
            'x' or 'X' => ("0" + Type, Digits(magnitude, 16)),
            'o' => ("0o", Digits(magnitude, 8)),
            'b' => ("0b", Digits(magnitude, 2)),
            'c' when magnitude <= 0x10FFFF && value.Sign >= 0 => (string.Empty, CodePoint((int)magnitude)),
            _ => throw TemplateFault.Operation($"Unknown format code '{Type}' for object of type 'int'"),
        };
        digits = Type == 'X' ? digits.ToUpperInvariant() : digits;
        digits = Precision >= 0 ? digits.PadLeft(Precision, '0') : digits;
        digits = Grouping == '\0' ? digits : Grouped(digits, Grouping, Type is '\0' or 'd' ? 3 : 4);
        return Padded(digits, sign + (Alternate ? prefix : string.Empty), '>');
    }

    public string ApplyFloat(double value)
    {
        string sign = double.IsNegative(value) && !double.IsNaN(value) ? "-" : Sign == '-' ? string.Empty : Sign.ToString();
        double magnitude = double.IsNaN(value) ? value : Math.Abs(value);
        string text;
        if (!double.IsFinite(value))
        {
            text = double.IsNaN(value) ? "nan" : "inf";
        }
        else
        {
            int precision = Precision < 0 ? 6 : Precision;
            text = Type switch
            {
                'f' or 'F' => Fixed(magnitude, precision),
                '%' => Fixed(magnitude * 100, precision) + "%",
                'e' or 'E' => Exponential(magnitude, precision),
                'g' or 'G' => General(magnitude, precision),
                '\0' when Precision < 0 => PythonNumbers.Repr(magnitude),
                _ => throw (Type == '\0' ? TemplateFault.Unsupported("a precision without a type is not supported for a float; write 'g'")
                    : TemplateFault.Operation($"Unknown format code '{Type}' for object of type 'float'")),
            };
        }

        text = char.IsAsciiLetterUpper(Type) ? text.ToUpperInvariant() : text;
        if (Grouping != '\0')
        {
            int whole = text.AsSpan().IndexOfAnyExceptInRange('0', '9') is int end && end >= 0 ? end : text.Length;
            text = Grouped(text[..whole], Grouping, 3) + text[whole..];
        }

        return Padded(text, sign, '>');
    }

    public string Padded(string text, string sign, char byDefault)
    {
        int pad = Width - PythonText.Length(text) - sign.Length;
        if (pad <= 0)
        {
            return sign + text;
        }

        string fill = string.Concat(Enumerable.Repeat(Fill, pad));
        int half = pad / 2 * Fill.Length;
        return (Align == '\0' ? byDefault : Align) switch
        {
            '<' => sign + text + fill,
            '>' => fill + sign + text,
            '=' => sign + fill + text,
            _ => fill[..half] + sign + text + fill[half..],
        };
    }

    public static int CheckedWidth(long width) => width <= MaxWidth ? (int)width
        : throw TemplateFault.Limit($"a format asks for a width or precision of more than {MaxWidth}");

    private static string Fixed(double magnitude, int precision)
    {
        string digits = PythonNumbers.Scaled(magnitude, precision).ToString().PadLeft(precision + 1, '0');
        return precision == 0 ? digits : $"{digits[..^precision]}.{digits[^precision..]}";
    }

    private static string Exponential(double magnitude, int precision)
    {
        (string digits, int exponent) = Significant(magnitude, precision + 1);
        string mantissa = precision == 0 ? digits : $"{digits[0]}.{digits[1..]}";
        return $"{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture)}";
    }

    private static string General(double magnitude, int precision)
    {
        precision = Math.Max(precision, 1);
        (_, int exponent) = Significant(magnitude, precision);
        string text = exponent < -4 || exponent >= precision ? Exponential(magnitude, precision - 1) : Fixed(magnitude, precision - 1 - exponent);
        int e = text.IndexOf('e', StringComparison.Ordinal);
        string mantissa = e < 0 ? text : text[..e];
        mantissa = mantissa.Contains('.', StringComparison.Ordinal) ? mantissa.TrimEnd('0').TrimEnd('.') : mantissa;
        return e < 0 ? mantissa : mantissa + text[e..];
    }

    /// <summary>So many digits of a number, rounded once, and the exponent of the first.</summary>
    private static (string Digits, int Exponent) Significant(double magnitude, int count)
    {
        if (magnitude == 0)
        {
            return (new string('0', count), 0);
        }

        int exponent = (int)Math.Floor(Math.Log10(magnitude));
        for (int guess = exponent + 1; guess >= exponent - 1; guess--)
        {
            string digits = PythonNumbers.Scaled(magnitude, count - 1 - guess).ToString();
            if (digits.Length >= count)
            {
                return digits.Length == count ? (digits, guess) : (digits[..count], guess + 1);
            }
        }

        throw new InvalidOperationException($"The exponent of {magnitude} was not found.");
    }

    private static string Digits(BigInteger magnitude, int radix)
    {
        if (magnitude.IsZero)
        {
            return "0";
        }

        List<char> digits = [];
        while (!magnitude.IsZero)
        {
            magnitude = BigInteger.DivRem(magnitude, radix, out BigInteger digit);
            digits.Add("0123456789abcdef"[(int)digit]);
        }

        digits.Reverse();
        return string.Concat(digits);
    }

    private static string CodePoint(int value) => value is >= 0xD800 and <= 0xDFFF ? ((char)value).ToString() : char.ConvertFromUtf32(value);

    private static string Grouped(string digits, char separator, int size)
    {
        for (int i = digits.Length - size; i > 0; i -= size)
        {
            digits = digits.Insert(i, separator.ToString());
        }

        return digits;
    }

    private static bool IsAlign(string point) => point is "<" or ">" or "=" or "^";

    private static bool Is(string[] points, int at, string any) => at < points.Length && points[at].Length == 1 && any.Contains(points[at], StringComparison.Ordinal);

    private static int Number(string[] points, ref int at, int absent)
    {
        int start = at;
        long value = 0;
        while (at < points.Length && points[at].Length == 1 && char.IsAsciiDigit(points[at][0]))
        {
            value = CheckedWidth((value * 10) + (points[at++][0] - '0'));
        }

        return at == start ? absent : (int)value;
    }
}

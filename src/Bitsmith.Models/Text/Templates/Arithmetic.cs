using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Python's arithmetic: exact whole numbers, division that rounds down, and + and * of texts and lists.</summary>
internal static class Arithmetic
{
    public static TemplateValue Binary(Evaluator evaluator, string op, TemplateValue left, TemplateValue right)
    {
        if (op == "%" && left is StringValue format)
        {
            return new StringValue(PercentFormat.Format(evaluator, format.Value, right));
        }

        if (left is UndefinedValue undefinedLeft)
        {
            throw undefinedLeft.Error();
        }

        if (right is UndefinedValue undefinedRight)
        {
            throw undefinedRight.Error();
        }

        if (Operators.WholeOf(left) is BigInteger a && Operators.WholeOf(right) is BigInteger b)
        {
            return OfWholes(op, a, b);
        }

        if (FloatOf(left) is double x && FloatOf(right) is double y)
        {
            return OfFloats(op, x, y);
        }

        return op switch
        {
            "+" => Concatenated(evaluator.Work, left, right),
            "*" => Repeated(evaluator.Work, left, right),
            _ => throw Unsupported(op, left, right),
        };
    }

    public static TemplateValue Unary(string op, TemplateValue operand) => operand switch
    {
        UndefinedValue undefined => throw undefined.Error(),
        FloatValue number => op == "-" ? new FloatValue(-number.Value) : operand,
        _ when Operators.WholeOf(operand) is BigInteger whole => new IntValue(op == "-" ? -whole : whole),
        _ => throw TemplateFault.Operation($"bad operand type for unary {op}: '{operand.TypeName}'"),
    };

    /// <summary>A number as double; null where it is none. A whole number too large for one is a fault, as in Python.</summary>
    public static double? FloatOf(TemplateValue value)
    {
        if (value is FloatValue number)
        {
            return number.Value;
        }

        double? whole = (double?)Operators.WholeOf(value);
        return whole is double.PositiveInfinity or double.NegativeInfinity
            ? throw TemplateFault.Operation("int too large to convert to float") : whole;
    }

    private static TemplateValue OfWholes(string op, BigInteger a, BigInteger b)
    {
        switch (op)
        {
            case "+": return IntValue.Of(a + b);
            case "-": return IntValue.Of(a - b);
            case "*": return IntValue.Of(a * b);
            case "**":
                return b.Sign < 0
                    ? OfFloats(op, FloatOf(new IntValue(a))!.Value, FloatOf(new IntValue(b))!.Value)
                    : Power(a, b);
        }

        if (b.IsZero)
        {
            throw TemplateFault.Operation(op == "%" ? "integer modulo by zero" : "division by zero");
        }

        if (op == "/")
        {
            return new FloatValue(TrueQuotient(a, b));
        }

        BigInteger quotient = BigInteger.DivRem(a, b, out BigInteger remainder);
        bool down = !remainder.IsZero && remainder.Sign != b.Sign;
        return op == "//" ? new IntValue(down ? quotient - 1 : quotient) : new IntValue(down ? remainder + b : remainder);
    }

    private static IntValue Power(BigInteger a, BigInteger b)
    {
        if (b.IsZero || a.IsOne)
        {
            return new IntValue(BigInteger.One);
        }

        if (a.IsZero || BigInteger.Abs(a).IsOne)
        {
            return new IntValue(a.IsZero || !b.IsEven ? a : BigInteger.One);
        }

        // The lower bound of the result's bits decides before it is computed.
        return b > PythonNumbers.MaxBits || (a.GetBitLength() - 1) * (long)b > PythonNumbers.MaxBits + 1
            ? throw TemplateFault.Limit($"a whole number has more than {PythonNumbers.MaxDigits} digits")
            : IntValue.Of(BigInteger.Pow(a, (int)b));
    }

    /// <summary>A quotient rounded once, which is not that of the rounded operands where they are large.</summary>
    private static double TrueQuotient(BigInteger a, BigInteger b)
    {
        const long Exact = 1L << 53;
        if (BigInteger.Abs(a) <= Exact && BigInteger.Abs(b) <= Exact)
        {
            return (double)a / (double)b;
        }

        // 64 bits of quotient and one that tells of a rest: rounding these to 53 is rounding the true quotient.
        BigInteger numerator = BigInteger.Abs(a), denominator = BigInteger.Abs(b);
        int shift = (int)(64 - (numerator.GetBitLength() - denominator.GetBitLength()));
        numerator = shift > 0 ? numerator << shift : numerator;
        denominator = shift < 0 ? denominator << -shift : denominator;
        BigInteger quotient = BigInteger.DivRem(numerator, denominator, out BigInteger rest);
        double magnitude = Math.ScaleB((double)((quotient << 1) | (rest.IsZero ? 0 : 1)), -shift - 1);
        return double.IsInfinity(magnitude) ? throw TemplateFault.Operation("integer division result too large for a float")
            : a.Sign == b.Sign ? magnitude : -magnitude;
    }

    private static FloatValue OfFloats(string op, double x, double y)
    {
        switch (op)
        {
            case "+": return new FloatValue(x + y);
            case "-": return new FloatValue(x - y);
            case "*": return new FloatValue(x * y);
            case "**": return new FloatValue(Power(x, y));
        }

        if (y == 0)
        {
            throw TemplateFault.Operation(op switch { "/" => "float division by zero", "//" => "float floor division by zero", _ => "float modulo by zero" });
        }

        if (op == "/")
        {
            return new FloatValue(x / y);
        }

        double remainder = x % y;
        double quotient = (x - remainder) / y;
        if (remainder != 0)
        {
            if ((y < 0) != (remainder < 0))
            {
                remainder += y;
                quotient -= 1;
            }
        }
        else
        {
            remainder = Math.CopySign(0, y);
        }

        if (op == "%")
        {
            return new FloatValue(remainder);
        }

        double floor = Math.Floor(quotient);
        return new FloatValue(quotient == 0 ? Math.CopySign(0, x / y) : quotient - floor > 0.5 ? floor + 1 : floor);
    }

    private static double Power(double x, double y)
    {
        if (x == 0 && y < 0)
        {
            throw TemplateFault.Operation("zero to a negative power");
        }

        if (x < 0 && double.IsFinite(x) && double.IsFinite(y) && Math.Floor(y) != y)
        {
            throw TemplateFault.Unsupported("a negative number to a fractional power is a complex number");
        }

        double result = Math.Pow(x, y);
        return double.IsInfinity(result) && double.IsFinite(x) && double.IsFinite(y)
            ? throw TemplateFault.Operation("(34, 'Numerical result out of range')") : result;
    }

    private static TemplateValue Concatenated(Work work, TemplateValue left, TemplateValue right)
    {
        switch (left, right)
        {
            case (StringValue a, StringValue b):
                work.Text((long)a.Value.Length + b.Value.Length);
                return new StringValue(a.Value + b.Value);
            case (ListValue a, ListValue b) when a.IsTuple == b.IsTuple:
                work.Elements((long)a.Elements.Count + b.Elements.Count);
                return new ListValue([.. a.Elements, .. b.Elements], a.IsTuple);
            case (StringValue, _):
                throw TemplateFault.Operation($"can only concatenate str (not \"{right.TypeName}\") to str");
            case (ListValue a, _):
                throw TemplateFault.Operation($"can only concatenate {a.TypeName} (not \"{right.TypeName}\") to {a.TypeName}");
            default:
                throw Unsupported("+", left, right);
        }
    }

    private static TemplateValue Repeated(Work work, TemplateValue left, TemplateValue right)
    {
        (TemplateValue row, TemplateValue times) = left is StringValue or ListValue ? (left, right) : (right, left);
        if (row is not (StringValue or ListValue) || Operators.WholeOf(times) is not BigInteger count)
        {
            throw row is StringValue or ListValue && left is StringValue or ListValue
                ? TemplateFault.Operation($"can't multiply sequence by non-int of type '{times.TypeName}'") : Unsupported("*", left, right);
        }

        int number = (int)BigInteger.Max(0, BigInteger.Min(count, int.MaxValue));
        if (row is StringValue text)
        {
            work.Text((long)text.Value.Length * number);
            return text.Value.Length == 0 ? text : new StringValue(string.Concat(Enumerable.Repeat(text.Value, number)));
        }

        ListValue list = (ListValue)row;
        work.Elements((long)list.Elements.Count * number);
        return list.Elements.Count == 0 ? list
            : new ListValue([.. Enumerable.Repeat(list.Elements, number).SelectMany(e => e)], list.IsTuple);
    }

    private static TemplateFault Unsupported(string op, TemplateValue left, TemplateValue right) => TemplateFault.Operation(
        $"unsupported operand type(s) for {(op == "**" ? "** or pow()" : op)}: '{left.TypeName}' and '{right.TypeName}'");
}

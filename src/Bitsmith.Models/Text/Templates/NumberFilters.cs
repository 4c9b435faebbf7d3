using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Filters of numbers.</summary>
internal static class NumberFilters
{
    public static TemplateValue Abs(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("abs");
        return value switch
        {
            FloatValue number => new FloatValue(Math.Abs(number.Value)),
            UndefinedValue => throw TemplateFault.Operation("bad operand type for abs(): 'Undefined'"),
            _ => new IntValue(BigInteger.Abs(Operators.WholeOf(value) ?? throw TemplateFault.Operation($"bad operand type for abs(): '{value.TypeName}'"))),
        };
    }

    public static TemplateValue Round(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("round", "precision", "method");
        int digits = (int)TextMethods.Whole(bound[0] ?? new IntValue(0), "precision");
        string method = bound[1] is null ? "common" : TextMethods.Text(bound[1]!);
        if (method is not ("common" or "ceil" or "floor"))
        {
            throw TemplateFault.Operation("method must be common, ceil or floor");
        }

        if (value is not (IntValue or BoolValue or FloatValue))
        {
            throw TemplateFault.Operation($"type {value.TypeName} doesn't define __round__ method");
        }

        if (method == "common")
        {
            return value is FloatValue number ? new FloatValue(PythonNumbers.Round(number.Value, digits)) : RoundWhole(Operators.WholeOf(value)!.Value, digits);
        }

        TemplateValue scale = Arithmetic.Binary(evaluator, "**", new IntValue(10), new IntValue(digits));
        TemplateValue scaled = Arithmetic.Binary(evaluator, "*", value, scale);
        if (scaled is FloatValue exact)
        {
            double whole = method == "ceil" ? Math.Ceiling(exact.Value) : Math.Floor(exact.Value);
            scaled = ToInt(new FloatValue(whole)) ?? throw TemplateFault.Operation("cannot convert float NaN to integer");
        }

        return Arithmetic.Binary(evaluator, "/", scaled, scale);
    }

    public static TemplateValue Int(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("int", "default", "base");
        TemplateValue byDefault = bound[0] ?? new IntValue(0);
        if (value is StringValue text)
        {
            int radix = (int)TextMethods.Whole(bound[1] ?? new IntValue(10), "base");
            if (radix is 0 or (>= 2 and <= 36) && PythonNumbers.ParseInteger(text.Value, radix) is BigInteger whole)
            {
                return new IntValue(whole);
            }

            return PythonNumbers.ParseFloat(text.Value) is double number && double.IsFinite(number)
                ? new IntValue(new BigInteger(Math.Truncate(number))) : byDefault;
        }

        return value is UndefinedValue undefined ? throw undefined.Error() : ToInt(value) ?? byDefault;
    }

    public static TemplateValue Float(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue byDefault = arguments.Bind("float", "default")[0] ?? new FloatValue(0);
        double? number = value switch
        {
            StringValue text => PythonNumbers.ParseFloat(text.Value),
            UndefinedValue undefined => throw undefined.Error(),
            _ => Arithmetic.FloatOf(value),
        };
        return number is double found ? new FloatValue(found) : byDefault;
    }

    /// <summary>Python's sum: from the first floating point number on it keeps what rounding lost and adds it at the end.</summary>
    public static TemplateValue Sum(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("sum", "attribute", "start");
        Func<TemplateValue, TemplateValue> getter = Filters.Getter(evaluator, bound[0]);
        TemplateValue total = bound[1] ?? new IntValue(0);
        if (total is StringValue)
        {
            throw TemplateFault.Operation("sum() can't sum strings [use ''.join(seq) instead]");
        }

        double lost = 0;
        bool compensated = total is FloatValue;
        foreach (TemplateValue item in evaluator.Iterate(value))
        {
            TemplateValue next = getter(item);
            if (compensated && next is FloatValue or IntValue or BoolValue && total is FloatValue sum)
            {
                double x = Arithmetic.FloatOf(next)!.Value, t = sum.Value + x;
                lost += next is not FloatValue ? 0 : Math.Abs(sum.Value) >= Math.Abs(x) ? sum.Value - t + x : x - t + sum.Value;
                total = new FloatValue(t);
                continue;
            }

            total = Arithmetic.Binary(evaluator, "+", total, next);
            compensated = total is FloatValue;
        }

        return total is FloatValue result && lost != 0 && double.IsFinite(lost) ? new FloatValue(result.Value + lost) : total;
    }

    private static IntValue RoundWhole(BigInteger value, int digits)
    {
        if (digits >= 0)
        {
            return new IntValue(value);
        }

        if (-digits > PythonNumbers.MaxDigits)
        {
            return new IntValue(0);
        }

        BigInteger unit = BigInteger.Pow(10, -digits);
        BigInteger rounded = PythonNumbers.DivideToEven(BigInteger.Abs(value), unit) * unit;
        return IntValue.Of(value.Sign < 0 ? -rounded : rounded);
    }

    private static IntValue? ToInt(TemplateValue value) => value switch
    {
        FloatValue number when double.IsInfinity(number.Value) => throw TemplateFault.Operation("cannot convert float infinity to integer"),
        FloatValue number => double.IsNaN(number.Value) ? null : new IntValue(new BigInteger(Math.Truncate(number.Value))),
        _ => Operators.WholeOf(value) is BigInteger whole ? new IntValue(whole) : null,
    };
}

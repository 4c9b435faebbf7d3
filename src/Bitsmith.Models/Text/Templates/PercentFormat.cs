using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Python's <c>text % values</c>.</summary>
internal static class PercentFormat
{
    public static string Format(Evaluator evaluator, string format, TemplateValue values)
    {
        Queue<TemplateValue> queue = new(values is ListValue { IsTuple: true } tuple ? tuple.Elements : [values]);
        bool usesNames = false;
        StringBuilder result = new();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                result.Append(format[i]);
                continue;
            }

            TemplateValue? named = null;
            i++;
            if (i < format.Length && format[i] == '(')
            {
                int end = format.IndexOf(')', i);
                string key = end < 0 ? throw TemplateFault.Operation("incomplete format key") : format[(i + 1)..end];
                DictValue dict = values as DictValue ?? throw TemplateFault.Operation("format requires a mapping");
                named = dict.Find(key) ?? throw TemplateFault.Operation($"the format names the key {PythonText.Repr(key)}, which is not there");
                usesNames = true;
                i = end + 1;
            }

            FormatSpec spec = Spec(format, ref i, queue);
            if (spec.Type == '%')
            {
                result.Append('%');
                continue;
            }

            result.Append(One(evaluator, spec, named ?? Next(queue)));
            evaluator.Work.CheckText(result.Length);
            evaluator.Work.Step();
        }

        if (queue.Count > 0 && !usesNames && values is not DictValue)
        {
            throw TemplateFault.Operation("not all arguments converted during string formatting");
        }

        evaluator.Work.Text(result.Length);
        return result.ToString();
    }

    private static FormatSpec Spec(string format, ref int i, Queue<TemplateValue> queue)
    {
        FormatSpec spec = new();
        for (; i < format.Length && format[i] is '-' or '+' or ' ' or '#' or '0'; i++)
        {
            spec = format[i] switch
            {
                '-' => spec with { Align = '<', Fill = " " },
                '+' => spec with { Sign = '+' },
                ' ' => spec.Sign == '+' ? spec : spec with { Sign = ' ' },
                '#' => spec with { Alternate = true },
                _ => spec.Align == '<' ? spec : spec with { Align = '=', Fill = "0" },
            };
        }

        long width = Number(format, ref i, queue, 0);
        spec = width < 0 ? spec with { Align = '<', Fill = " ", Width = FormatSpec.CheckedWidth(-width) } : spec with { Width = FormatSpec.CheckedWidth(width) };
        if (i < format.Length && format[i] == '.')
        {
            i++;
            spec = spec with { Precision = FormatSpec.CheckedWidth(Math.Max(0, Number(format, ref i, queue, 0))) };
        }

        // A length modifier, which Python reads and ignores.
        i += i < format.Length && format[i] is 'h' or 'l' or 'L' ? 1 : 0;
        return i < format.Length ? spec with { Type = format[i] } : throw TemplateFault.Operation("incomplete format");
    }

    private static long Number(string format, ref int i, Queue<TemplateValue> queue, long absent)
    {
        if (i < format.Length && format[i] == '*')
        {
            i++;
            return TextMethods.Whole(Next(queue), "*");
        }

        long value = absent;
        for (; i < format.Length && char.IsAsciiDigit(format[i]); i++)
        {
            value = FormatSpec.CheckedWidth((value * 10) + (format[i] - '0'));
        }

        return value;
    }

    private static TemplateValue Next(Queue<TemplateValue> queue) =>
        queue.TryDequeue(out TemplateValue? value) ? value : throw TemplateFault.Operation("not enough arguments for format string");

    private static string One(Evaluator evaluator, FormatSpec spec, TemplateValue value)
    {
        switch (spec.Type)
        {
            case 's' or 'r' or 'a':
                string text = spec.Type == 's' ? evaluator.TextOf(value) : Printing.Repr(evaluator.Work, value);
                FormatSpec plain = spec.Align == '=' ? spec with { Align = '>', Fill = " " } : spec;
                return plain.Padded(spec.Cut(text), string.Empty, '>');
            case 'c' when value is StringValue character && PythonText.Length(character.Value) == 1:
                return spec.Padded(character.Value, string.Empty, '>');
            case 'd' or 'i' or 'u' when value is FloatValue number && double.IsFinite(number.Value):
                return (spec with { Type = 'd' }).ApplyWhole(new System.Numerics.BigInteger(Math.Truncate(number.Value)));
            case 'd' or 'i' or 'u' or 'x' or 'X' or 'o' or 'c' when Operators.WholeOf(value) is System.Numerics.BigInteger whole:
                return (spec with { Type = spec.Type is 'i' or 'u' ? 'd' : spec.Type }).ApplyWhole(whole);
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G' when Arithmetic.FloatOf(value) is double x:
                return spec.ApplyFloat(x);
            case 's' or 'c' or 'd' or 'i' or 'u' or 'x' or 'X' or 'o' or 'e' or 'E' or 'f' or 'F' or 'g' or 'G':
                throw value is UndefinedValue undefined ? undefined.Error()
                    : TemplateFault.Operation($"%{spec.Type} format: a number is required, not {value.TypeName}");
            default:
                throw TemplateFault.Operation($"unsupported format character '{spec.Type}'");
        }
    }
}

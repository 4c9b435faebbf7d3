using System.Globalization;
using System.Numerics;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Python's str.format, with attributes and elements looked up as the sandbox looks them up.</summary>
internal static class BraceFormat
{
    public static string Format(Evaluator evaluator, string format, CallArguments arguments)
    {
        int next = 0;
        string result = Expand(evaluator, format, arguments, ref next, depth: 2);
        evaluator.Work.Text(result.Length);
        return result;
    }

    private static string Expand(Evaluator evaluator, string format, CallArguments arguments, ref int next, int depth)
    {
        if (depth == 0)
        {
            throw TemplateFault.Operation("Max string recursion exceeded");
        }

        StringBuilder result = new();
        for (int i = 0; i < format.Length; i++)
        {
            char c = format[i];
            if (c is '{' or '}' && i + 1 < format.Length && format[i + 1] == c)
            {
                result.Append(c);
                i++;
            }
            else if (c == '}')
            {
                throw TemplateFault.Operation("Single '}' encountered in format string");
            }
            else if (c == '{')
            {
                int end = EndOf(format, i + 1);
                result.Append(Field(evaluator, format[(i + 1)..end], arguments, ref next, depth));
                evaluator.Work.CheckText(result.Length);
                evaluator.Work.Step();
                i = end;
            }
            else
            {
                result.Append(c);
            }
        }

        return result.ToString();
    }

    private static int EndOf(string format, int start)
    {
        int open = 1;
        for (int i = start; i < format.Length; i++)
        {
            open += format[i] == '{' ? 1 : format[i] == '}' ? -1 : 0;
            if (open == 0)
            {
                return i;
            }
        }

        throw TemplateFault.Operation("expected '}' before end of string");
    }

    private static string Field(Evaluator evaluator, string field, CallArguments arguments, ref int next, int depth)
    {
        int bracket = 0, split = 0;
        for (; split < field.Length && (bracket > 0 || field[split] is not (':' or '!')); split++)
        {
            bracket += field[split] == '[' ? 1 : field[split] == ']' ? -1 : 0;
        }

        TemplateValue value = Lookup(evaluator, field[..split], arguments, ref next);
        string rest = field[split..];
        if (rest.StartsWith('!'))
        {
            value = rest.Length < 2 || (rest.Length > 2 && rest[2] != ':') ? throw TemplateFault.Operation("expected ':' after conversion specifier")
                : rest[1] switch
                {
                    's' => new StringValue(evaluator.TextOf(value)),
                    'r' => new StringValue(Printing.Repr(evaluator.Work, value)),
                    _ => throw TemplateFault.Operation($"Unknown conversion specifier '{rest[1]}'"),
                };
            rest = rest[2..];
        }

        string spec = rest.StartsWith(':') ? Expand(evaluator, rest[1..], arguments, ref next, depth - 1) : string.Empty;
        return spec.Length == 0 ? evaluator.TextOf(value) : FormatSpec.Parse(spec).Apply(evaluator, value);
    }

    private static TemplateValue Lookup(Evaluator evaluator, string path, CallArguments arguments, ref int next)
    {
        int at = path.AsSpan().IndexOfAny('.', '[');
        string first = at < 0 ? path : path[..at];
        TemplateValue value = First(first, arguments, ref next);
        while (at >= 0 && at < path.Length)
        {
            if (path[at] == '.')
            {
                int end = path.AsSpan(at + 1).IndexOfAny('.', '[');
                end = end < 0 ? path.Length : at + 1 + end;
                value = Members.Attribute(value, path[(at + 1)..end]);
                at = end;
            }
            else
            {
                int end = path.IndexOf(']', at);
                string key = end < 0 ? throw TemplateFault.Operation("Missing ']' in format string") : path[(at + 1)..end];
                value = Members.Item(evaluator, value, Number(key) is BigInteger place ? new IntValue(place) : new StringValue(key));
                at = end + 1;
            }
        }

        return value;
    }

    private static TemplateValue First(string name, CallArguments arguments, ref int next)
    {
        if (name.Length == 0 || Number(name) is not null)
        {
            // The count turns negative once a field has a number of its own.
            if (name.Length == 0 ? next < 0 : next > 0)
            {
                throw TemplateFault.Operation(name.Length == 0
                    ? "cannot switch from manual field specification to automatic field numbering"
                    : "cannot switch from automatic field numbering to manual field specification");
            }

            next = name.Length == 0 ? next : -1;
            BigInteger place = name.Length == 0 ? next++ : Number(name)!.Value;
            return place < arguments.Positional.Count ? arguments.Positional[(int)place]
                : throw TemplateFault.Operation($"Replacement index {place} out of range for positional args tuple");
        }

        return arguments.Keywords.FirstOrDefault(k => k.Key == name).Value
            ?? throw TemplateFault.Operation($"the format names {PythonText.Repr(name)}, which was not given");
    }

    private static BigInteger? Number(string text) => text.Length is > 0 and < 20 && text.All(char.IsAsciiDigit)
        ? BigInteger.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : null;
}

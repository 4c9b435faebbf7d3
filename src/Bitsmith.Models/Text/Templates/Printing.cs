using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Values as Python's str and repr write them.</summary>
internal static class Printing
{
    public static string Text(Work work, TemplateValue value)
    {
        switch (value)
        {
            case StringValue text:
                return text.Value;
            case UndefinedValue:
                return string.Empty;
        }

        StringBuilder result = new();
        Write(work, result, value);
        return result.ToString();
    }

    public static string Repr(Work work, TemplateValue value)
    {
        StringBuilder result = new();
        Write(work, result, value);
        return result.ToString();
    }

    private static void Write(Work work, StringBuilder result, TemplateValue value)
    {
        work.Enter();
        work.CheckText(result.Length);
        switch (value)
        {
            case NoneValue:
                result.Append("None");
                break;
            case BoolValue truth:
                result.Append(truth.Value ? "True" : "False");
                break;
            case IntValue whole:
                string digits = whole.Value.ToString();
                work.Step(digits.Length / 4);
                result.Append(digits);
                break;
            case FloatValue number:
                result.Append(PythonNumbers.Repr(number.Value));
                break;
            case StringValue text:
                work.Text(text.Value.Length);
                result.Append(PythonText.Repr(text.Value));
                break;
            case ListValue list:
                WriteRow(work, result, list.IsTuple ? "(" : "[", list.Elements, list.IsTuple ? list.Elements.Count == 1 ? ",)" : ")" : "]");
                break;
            case DictValue dict:
                WriteEntries(work, result, dict.Entries);
                break;
            case DictViewValue view:
                WriteRow(work, result.Append(view.TypeName), "([", view.Items, "])");
                break;
            case RangeValue range:
                result.Append("range(").Append(range.Start).Append(", ").Append(range.Stop);
                result.Append(range.Step.IsOne ? ")" : $", {range.Step})");
                break;
            case NamespaceValue space:
                result.Append("<Namespace ");
                WriteEntries(work, result, space.Attributes.Select(a => new KeyValuePair<TemplateValue, TemplateValue>(new StringValue(a.Key), a.Value)));
                result.Append('>');
                break;
            case UndefinedValue:
                result.Append("Undefined");
                break;
            case MacroValue macro:
                result.Append(macro.Definition.Name is string name ? $"<Macro {PythonText.Repr(name)}>" : "<Macro anonymous>");
                break;
            case LoopValue loop:
                result.Append("<LoopContext ").Append(loop.Index0 + 1).Append('/').Append(loop.Length).Append('>');
                break;
            default:
                // Python would print an address, which no two renderings share.
                throw TemplateFault.Unsupported($"a {value.TypeName} is not text: print its elements or a call of it instead, for a generator with |list or |join");
        }

        work.Leave();
    }

    private static void WriteRow(Work work, StringBuilder result, string open, IEnumerable<TemplateValue> items, string close)
    {
        result.Append(open);
        string separator = string.Empty;
        foreach (TemplateValue item in items)
        {
            result.Append(separator);
            Write(work, result, item);
            separator = ", ";
        }

        result.Append(close);
    }

    private static void WriteEntries(Work work, StringBuilder result, IEnumerable<KeyValuePair<TemplateValue, TemplateValue>> entries)
    {
        result.Append('{');
        string separator = string.Empty;
        foreach ((TemplateValue key, TemplateValue value) in entries)
        {
            result.Append(separator);
            Write(work, result, key);
            result.Append(": ");
            Write(work, result, value);
            separator = ", ";
        }

        result.Append('}');
    }
}

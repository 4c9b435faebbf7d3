using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Python's json.dumps, as transformers' tojson filter calls it: no escaping for HTML, and of ASCII only where asked.</summary>
internal sealed class JsonWriting
{
    private readonly Work work;
    private readonly bool ascii;
    private readonly string? indent;
    private readonly string itemSeparator;
    private readonly string keySeparator;
    private readonly bool sortKeys;
    private readonly StringBuilder result = new();

    private JsonWriting(Work work, bool ascii, string? indent, string itemSeparator, string keySeparator, bool sortKeys)
    {
        this.work = work;
        this.ascii = ascii;
        this.indent = indent;
        this.itemSeparator = itemSeparator;
        this.keySeparator = keySeparator;
        this.sortKeys = sortKeys;
    }

    public static StringValue Filter(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys");
        string? indent = bound[1] switch
        {
            null or NoneValue => null,
            StringValue text => text.Value,
            TemplateValue width => new string(' ', (int)Math.Clamp(TextMethods.Whole(width, "indent"), 0, 1000)),
        };
        string item = indent is null ? ", " : ",", key = ": ";
        if (bound[2] is not (null or NoneValue))
        {
            TemplateValue[] pair = [.. evaluator.Iterate(bound[2]!)];
            if (pair.Length != 2)
            {
                throw TemplateFault.Operation($"'separators' must be two texts, found {pair.Length}");
            }

            (item, key) = (TextMethods.Text(pair[0]), TextMethods.Text(pair[1]));
        }

        JsonWriting writing = new(evaluator.Work, bound[0]?.IsTrue ?? false, indent, item, key, bound[3]?.IsTrue ?? false);
        writing.Write(value, 0);
        return new StringValue(writing.result.ToString());
    }

    private void Write(TemplateValue value, int level)
    {
        work.Enter();
        work.CheckText(result.Length);
        switch (value)
        {
            case NoneValue:
                result.Append("null");
                break;
            case StringValue text:
                WriteText(text.Value);
                break;
            case BoolValue or IntValue or FloatValue:
                result.Append(Scalar(value));
                break;
            case ListValue { Elements.Count: 0 }:
                result.Append("[]");
                break;
            case DictValue { Entries.Count: 0 }:
                result.Append("{}");
                break;
            case ListValue list:
                WriteRow('[', list.Elements, ']', level, item => Write(item, level + 1));
                break;
            case DictValue dict:
                WriteRow('{', sortKeys ? Sorted(dict) : dict.Entries, '}', level, entry =>
                {
                    WriteText(KeyOf(entry.Key));
                    result.Append(keySeparator);
                    Write(entry.Value, level + 1);
                });
                break;
            default:
                throw TemplateFault.Operation($"Object of type {value.TypeName} is not JSON serializable");
        }

        work.Leave();
    }

    private void WriteRow<T>(char open, IReadOnlyList<T> items, char close, int level, Action<T> write)
    {
        result.Append(open);
        for (int i = 0; i < items.Count; i++)
        {
            result.Append(i == 0 ? string.Empty : itemSeparator);
            NewLine(level + 1);
            write(items[i]);
        }

        NewLine(level);
        result.Append(close);
    }

    private void NewLine(int level)
    {
        if (indent is null)
        {
            return;
        }

        result.Append('\n');
        work.Text((long)indent.Length * level);
        for (int i = 0; i < level; i++)
        {
            result.Append(indent);
        }
    }

    private List<KeyValuePair<TemplateValue, TemplateValue>> Sorted(DictValue dict) =>
        Sorting.Sort(work, dict.Entries, entry => entry.Key, reverse: false);

    private string KeyOf(TemplateValue key) => key switch
    {
        StringValue text => text.Value,
        NoneValue => "null",
        BoolValue or IntValue or FloatValue => Scalar(key),
        _ => throw TemplateFault.Operation($"keys must be str, int, float, bool or None, not {key.TypeName}"),
    };

    private string Scalar(TemplateValue value)
    {
        switch (value)
        {
            case BoolValue truth:
                return truth.Value ? "true" : "false";
            case FloatValue number:
                return double.IsFinite(number.Value) ? PythonNumbers.Repr(number.Value)
                    : double.IsNaN(number.Value) ? "NaN" : number.Value > 0 ? "Infinity" : "-Infinity";
            default:
                return Printing.Text(work, value);
        }
    }

    private void WriteText(string text)
    {
        work.Text(text.Length);
        result.Append('"');
        foreach (char c in text)
        {
            _ = c switch
            {
                '"' => result.Append("\\\""),
                '\\' => result.Append(@"\\"),
                '\n' => result.Append(@"\n"),
                '\r' => result.Append(@"\r"),
                '\t' => result.Append(@"\t"),
                '\b' => result.Append(@"\b"),
                '\f' => result.Append(@"\f"),
                < ' ' => result.Append($"\\u{(int)c:x4}"),
                > '~' when ascii => result.Append($"\\u{(int)c:x4}"),
                _ => result.Append(c),
            };
        }

        result.Append('"');
    }
}

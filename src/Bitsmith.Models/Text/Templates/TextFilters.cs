using System.Globalization;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Filters of texts; most take any value and print it first.</summary>
internal static class TextFilters
{
    public static TemplateValue Upper(Evaluator evaluator, TemplateValue value, CallArguments arguments) =>
        Changed(evaluator, value, arguments, "upper", PythonCase.Upper);

    public static TemplateValue Lower(Evaluator evaluator, TemplateValue value, CallArguments arguments) =>
        Changed(evaluator, value, arguments, "lower", PythonCase.Lower);

    public static TemplateValue Capitalize(Evaluator evaluator, TemplateValue value, CallArguments arguments) =>
        Changed(evaluator, value, arguments, "capitalize", PythonCase.Capitalize);

    public static TemplateValue Title(Evaluator evaluator, TemplateValue value, CallArguments arguments) =>
        Changed(evaluator, value, arguments, "title", TitleOf);

    public static TemplateValue Trim(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue? characters = arguments.Bind("trim", "chars")[0];
        string text = evaluator.TextOf(value);
        evaluator.Work.Text(text.Length);
        return new StringValue(PythonText.Strip(text, characters is null or NoneValue ? null : TextMethods.Text(characters), start: true, end: true));
    }

    public static TemplateValue Replace(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("replace", "old", "new", "count");
        string old = evaluator.TextOf(bound.Required(0, "replace", "old")), with = evaluator.TextOf(bound.Required(1, "replace", "new"));
        long count = bound[2] is null or NoneValue ? -1 : TextMethods.Whole(bound[2]!, "count");
        return new StringValue(TextMethods.Replace(evaluator.Work, evaluator.TextOf(value), old, with, count));
    }

    public static TemplateValue Indent(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("indent", "width", "first", "blank");
        string indent = bound[0] switch
        {
            null => "    ",
            StringValue given => given.Value,
            TemplateValue width => new string(' ', FormatSpec.CheckedWidth(Math.Max(0, TextMethods.Whole(width, "width")))),
        };
        List<string> lines = PythonText.SplitLines(TextMethods.Text(value) + "\n", keepEnds: false);
        long length = 0;
        foreach (string line in lines)
        {
            length += line.Length + indent.Length + 1;
        }

        evaluator.Work.Text(length);
        bool blank = bound[2]?.IsTrue ?? false, first = bound[1]?.IsTrue ?? false;
        StringBuilder result = new(first ? indent : string.Empty);
        for (int i = 0; i < lines.Count; i++)
        {
            result.Append(i == 0 ? string.Empty : "\n").Append(i > 0 && (blank || lines[i].Length > 0) ? indent : string.Empty).Append(lines[i]);
        }

        return new StringValue(result.ToString());
    }

    public static TemplateValue Center(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue width = arguments.Bind("center", "width")[0] ?? new IntValue(80);
        return new StringValue(TextMethods.Centered(evaluator.Work, evaluator.TextOf(value), TextMethods.Whole(width, "width")));
    }

    public static TemplateValue Truncate(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("truncate", "length", "killwords", "end", "leeway");
        string text = TextMethods.Text(value), end = bound[2] is null ? "..." : TextMethods.Text(bound[2]!);
        long length = TextMethods.Whole(bound[0] ?? new IntValue(255), "length");
        long leeway = TextMethods.Whole(bound[3] is null or NoneValue ? new IntValue(5) : bound[3]!, "leeway");
        int endLength = PythonText.Length(end);
        if (length < endLength || leeway < 0)
        {
            throw TemplateFault.Operation(leeway < 0 ? $"expected leeway >= 0, got {leeway}" : $"expected length >= {endLength}, got {length}");
        }

        evaluator.Work.Text(text.Length);
        if (PythonText.Length(text) <= length + leeway)
        {
            return value;
        }

        string cut = text[..PythonText.Starts(text)[length - endLength]];
        int space = bound[1]?.IsTrue ?? false ? -1 : cut.LastIndexOf(' ');
        return new StringValue((space < 0 ? cut : cut[..space]) + end);
    }

    public static TemplateValue WordCount(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("wordcount");
        string text = evaluator.TextOf(value);
        evaluator.Work.Text(text.Length);
        int count = 0;
        bool inWord = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isWord = Rune.IsLetterOrDigit(rune) || rune.Value == '_' || Rune.IsNumber(rune);
            count += isWord && !inWord ? 1 : 0;
            inWord = isWord;
        }

        return new IntValue(count);
    }

    public static TemplateValue Format(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        if (arguments.Positional.Count > 0 && arguments.Keywords.Count > 0)
        {
            throw TemplateFault.Operation("can't handle positional and keyword arguments at the same time");
        }

        TemplateValue values = arguments.Keywords.Count > 0 ? TemplateValue.From(arguments.Keywords) : new ListValue(arguments.Positional, isTuple: true);
        return new StringValue(PercentFormat.Format(evaluator, evaluator.TextOf(value), values));
    }

    public static TemplateValue Escape(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("escape");
        string text = evaluator.TextOf(value);
        evaluator.Work.Text(text.Length * 5L);
        return new StringValue(text.Replace("&", "&amp;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
            .Replace("<", "&lt;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal));
    }

    public static TemplateValue UrlEncode(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("urlencode");
        if (value is StringValue || value.Items is null)
        {
            return new StringValue(Quoted(evaluator, value, isQuery: false));
        }

        IEnumerable<TemplateValue> pairs = value is DictValue dict ? new DictViewValue(dict, "items").Items : evaluator.Iterate(value);
        return new StringValue(string.Join('&', pairs.Select(pair =>
        {
            TemplateValue[] two = [.. evaluator.Iterate(pair)];
            return two.Length == 2 ? $"{Quoted(evaluator, two[0], isQuery: true)}={Quoted(evaluator, two[1], isQuery: true)}"
                : throw TemplateFault.Operation($"urlencode needs pairs of key and value, found {two.Length} elements");
        })));
    }

    private static StringValue Changed(Evaluator evaluator, TemplateValue value, CallArguments arguments, string name, Func<string, string> change)
    {
        arguments.Bind(name);
        string text = evaluator.TextOf(value);
        evaluator.Work.Text(text.Length);
        return new StringValue(change(text));
    }

    /// <summary>jinja2's own idea of a title: a word begins behind white space, a hyphen or an opening bracket.</summary>
    private static string TitleOf(string text)
    {
        StringBuilder result = new(text.Length);
        int start = 0;
        while (start < text.Length)
        {
            bool isBreak = IsBreak(text[start]);
            int end = start;
            while (end < text.Length && IsBreak(text[end]) == isBreak)
            {
                end++;
            }

            int first = start + (PythonText.CodePointAt(text, start) > 0xFFFF ? 2 : 1);
            result.Append(PythonCase.Upper(text[start..first])).Append(PythonCase.Lower(text[first..end]));
            start = end;
        }

        return result.ToString();
    }

    private static bool IsBreak(char c) => c is '-' or '(' or '{' or '[' or '<' || PythonText.IsSpace(c);

    private static string Quoted(Evaluator evaluator, TemplateValue value, bool isQuery)
    {
        string text = evaluator.TextOf(value);
        evaluator.Work.Text(text.Length * 9L);
        StringBuilder result = new();
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            bool isPlain = char.IsAsciiLetterOrDigit((char)b) || b is (byte)'_' or (byte)'.' or (byte)'-' or (byte)'~' || (b == '/' && !isQuery);
            _ = isPlain ? result.Append((char)b)
                : b == ' ' && isQuery ? result.Append('+')
                : result.Append('%').Append(b.ToString("X2", CultureInfo.InvariantCulture));
        }

        return result.ToString();
    }
}

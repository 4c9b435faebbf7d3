using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>The methods of Python's str.</summary>
internal static class TextMethods
{
    private delegate TemplateValue Method(Evaluator evaluator, string text, CallArguments arguments);

    private static readonly FrozenDictionary<string, Method> Methods = new Dictionary<string, Method>
    {
        ["strip"] = (_, text, a) => Strip("strip", text, a, start: true, end: true),
        ["lstrip"] = (_, text, a) => Strip("lstrip", text, a, start: true, end: false),
        ["rstrip"] = (_, text, a) => Strip("rstrip", text, a, start: false, end: true),
        ["split"] = (e, text, a) => Split(e, "split", text, a),
        ["rsplit"] = (e, text, a) => Split(e, "rsplit", text, a),
        ["splitlines"] = (e, text, a) => List(e, PythonText.SplitLines(text, a.Bind("splitlines", "keepends")[0]?.IsTrue ?? false)),
        ["partition"] = (e, text, a) => Partition(e, "partition", text, a),
        ["rpartition"] = (e, text, a) => Partition(e, "rpartition", text, a),
        ["replace"] = (e, text, a) =>
        {
            TemplateValue?[] bound = a.Bind("replace", "old", "new", "count");
            long count = bound[2] is null ? -1 : Whole(bound[2]!, "count");
            return new StringValue(Replace(e.Work, text, Text(bound.Required(0, "replace", "old")), Text(bound.Required(1, "replace", "new")), count));
        },
        ["startswith"] = (_, text, a) => StartsOrEnds("startswith", text, a),
        ["endswith"] = (_, text, a) => StartsOrEnds("endswith", text, a),
        ["removeprefix"] = (_, text, a) => Affix("removeprefix", text, a, prefix: true),
        ["removesuffix"] = (_, text, a) => Affix("removesuffix", text, a, prefix: false),
        ["upper"] = (e, text, a) => Cased(e, "upper", text, a, PythonCase.Upper),
        ["lower"] = (e, text, a) => Cased(e, "lower", text, a, PythonCase.Lower),
        ["title"] = (e, text, a) => Cased(e, "title", text, a, PythonCase.Title),
        ["capitalize"] = (e, text, a) => Cased(e, "capitalize", text, a, PythonCase.Capitalize),
        ["swapcase"] = (e, text, a) => Cased(e, "swapcase", text, a, PythonCase.SwapCase),
        ["join"] = (e, text, a) => Join(e, text, a),
        ["format"] = (e, text, a) => new StringValue(BraceFormat.Format(e, text, a)),
        ["find"] = (_, text, a) => Find("find", text, a),
        ["rfind"] = (_, text, a) => Find("rfind", text, a),
        ["index"] = (_, text, a) => Find("index", text, a),
        ["rindex"] = (_, text, a) => Find("rindex", text, a),
        ["count"] = (_, text, a) => Count(text, a),
        ["center"] = (e, text, a) => Pad(e, "center", text, a),
        ["ljust"] = (e, text, a) => Pad(e, "ljust", text, a),
        ["rjust"] = (e, text, a) => Pad(e, "rjust", text, a),
        ["zfill"] = (e, text, a) => ZeroFill(e, text, a),
        ["isdigit"] = (_, text, a) => All("isdigit", text, a, r => Rune.GetUnicodeCategory(r) == UnicodeCategory.DecimalDigitNumber || IsSuperscriptDigit(r)),
        ["isdecimal"] = (_, text, a) => All("isdecimal", text, a, r => Rune.GetUnicodeCategory(r) == UnicodeCategory.DecimalDigitNumber),
        ["isnumeric"] = (_, text, a) => All("isnumeric", text, a, r => Rune.IsNumber(r)),
        ["isalpha"] = (_, text, a) => All("isalpha", text, a, Rune.IsLetter),
        ["isalnum"] = (_, text, a) => All("isalnum", text, a, r => Rune.IsLetter(r) || Rune.IsNumber(r)),
        ["isspace"] = (_, text, a) => All("isspace", text, a, r => r.IsBmp && PythonText.IsSpace((char)r.Value)),
        ["isascii"] = (_, text, a) => BoolValue.Of(a.Bind("isascii").Length == 0 && Ascii.IsValid(text)),
        ["isupper"] = (_, text, a) => BoolValue.Of(a.Bind("isupper").Length == 0 && IsCased(text, upper: true)),
        ["islower"] = (_, text, a) => BoolValue.Of(a.Bind("islower").Length == 0 && IsCased(text, upper: false)),
    }.ToFrozenDictionary();

    /// <summary>Methods of Python that no chat template needs; found, they are named instead of being undefined without a word.</summary>
    private static readonly FrozenSet<string> Unavailable = FrozenSet.ToFrozenSet(
        ["casefold", "encode", "expandtabs", "format_map", "isidentifier", "isprintable", "istitle", "maketrans", "translate"]);

    public static TemplateValue? Find(StringValue text, string name) =>
        Methods.TryGetValue(name, out Method? method) ? new FunctionValue(name, (evaluator, arguments) =>
        {
            evaluator.Work.Text(text.Value.Length);
            return method(evaluator, text.Value, arguments);
        })
        : Unavailable.Contains(name) ? throw TemplateFault.Unsupported($"str.{name} is not available to chat templates")
        : null;

    /// <summary>The part of a row that two optional bounds name.</summary>
    public static (int Start, int Stop) Window(TemplateValue? start, TemplateValue? stop, int length)
    {
        int from = Bound(start, 0, length), to = Bound(stop, length, length);
        return (from, to);
    }

    public static string Text(TemplateValue value) => value switch
    {
        StringValue text => text.Value,
        UndefinedValue undefined => throw undefined.Error(),
        _ => throw TemplateFault.Operation($"a str is expected, found {value.TypeName}"),
    };

    public static long Whole(TemplateValue value, string name) => value is UndefinedValue undefined ? throw undefined.Error()
        : Operators.WholeOf(value) is System.Numerics.BigInteger whole
            ? (long)System.Numerics.BigInteger.Max(int.MinValue, System.Numerics.BigInteger.Min(whole, int.MaxValue))
            : throw TemplateFault.Operation($"'{name}' must be an int, found {value.TypeName}");

    public static string Replace(Work work, string text, string old, string with, long count)
    {
        if (old.Length > 0 && count < 0)
        {
            long places = old.Length <= text.Length ? CountOf(text, old) : 0;
            work.Text(text.Length + (places * (with.Length - (long)old.Length)));
            return places == 0 ? text : text.Replace(old, with, StringComparison.Ordinal);
        }

        // An empty text is found before every code point and at the end.
        List<string> parts = old.Length > 0 ? PythonText.Split(text, old, count) : [string.Empty, .. PythonText.Elements(text)];
        if (old.Length == 0 && count >= 0 && count < parts.Count)
        {
            int kept = (int)count;
            parts = kept == 0 ? [text] : [.. parts.Take(kept), string.Concat(parts.Skip(kept))];
            work.Text(text.Length + (count * with.Length));
            return string.Join(with, parts);
        }

        work.Text(text.Length + ((long)parts.Count * with.Length));
        return string.Join(with, parts) + (old.Length == 0 ? with : string.Empty);
    }

    public static bool IsCased(string text, bool upper)
    {
        bool any = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (upper ? Rune.IsLower(rune) : Rune.IsUpper(rune))
            {
                return false;
            }

            any |= upper ? Rune.IsUpper(rune) : Rune.IsLower(rune);
        }

        return any;
    }

    public static string Centered(Work work, string text, long width)
    {
        long pad = width - PythonText.Length(text);
        if (pad <= 0)
        {
            return text;
        }

        work.Text(text.Length + pad);
        int left = (int)((pad / 2) + (pad & width & 1));
        return new string(' ', left) + text + new string(' ', (int)pad - left);
    }

    private static int Bound(TemplateValue? value, int absent, int length)
    {
        if (value is null or NoneValue)
        {
            return absent;
        }

        long number = Whole(value, "bound");
        return (int)Math.Clamp(number < 0 ? number + length : number, 0, length);
    }

    private static StringValue Strip(string name, string text, CallArguments arguments, bool start, bool end)
    {
        Members.RefuseKeywords(name, arguments);
        TemplateValue? characters = arguments.Bind(name, "chars")[0];
        return new StringValue(PythonText.Strip(text, characters is null or NoneValue ? null : Text(characters), start, end));
    }

    private static ListValue Split(Evaluator evaluator, string name, string text, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind(name, "sep", "maxsplit");
        long max = bound[1] is null ? -1 : Whole(bound[1]!, "maxsplit");
        if (bound[0] is null or NoneValue)
        {
            return List(evaluator, name == "split" ? PythonText.SplitSpace(text, max) : PythonText.SplitSpaceRight(text, max));
        }

        string separator = Text(bound[0]!);
        return separator.Length == 0 ? throw TemplateFault.Operation("empty separator")
            : List(evaluator, name == "split" ? PythonText.Split(text, separator, max) : PythonText.SplitRight(text, separator, max));
    }

    private static ListValue Partition(Evaluator evaluator, string name, string text, CallArguments arguments)
    {
        string separator = Text(arguments.Bind(name, "sep").Required(0, name, "sep"));
        if (separator.Length == 0)
        {
            throw TemplateFault.Operation("empty separator");
        }

        bool first = name == "partition";
        List<string> parts = first ? PythonText.Split(text, separator, 1) : PythonText.SplitRight(text, separator, 1);
        List<string> three = parts.Count == 2 ? [parts[0], separator, parts[1]]
            : first ? [text, string.Empty, string.Empty] : [string.Empty, string.Empty, text];
        return new ListValue(List(evaluator, three).Elements, isTuple: true);
    }

    private static ListValue List(Evaluator evaluator, List<string> parts)
    {
        evaluator.Work.Elements(parts.Count);
        return new ListValue([.. parts.Select(p => new StringValue(p))]);
    }

    private static BoolValue StartsOrEnds(string name, string text, CallArguments arguments)
    {
        Members.RefuseKeywords(name, arguments);
        TemplateValue?[] bound = arguments.Bind(name, "prefix", "start", "end");
        TemplateValue wanted = bound.Required(0, name, "prefix");
        (int start, int stop) = Units(text, bound[1], bound[2]);
        if (wanted is not (StringValue or ListValue { IsTuple: true } or UndefinedValue))
        {
            throw TemplateFault.Operation($"{name} first arg must be str or a tuple of str, not {wanted.TypeName}");
        }

        if (start < 0)
        {
            return BoolValue.Of(false);
        }

        string part = text[start..stop];
        IEnumerable<TemplateValue> choices = wanted is ListValue list ? list.Elements : [wanted];
        return BoolValue.Of(choices.Any(c => name == "startswith"
            ? part.StartsWith(Text(c), StringComparison.Ordinal) : part.EndsWith(Text(c), StringComparison.Ordinal)));
    }

    private static StringValue Affix(string name, string text, CallArguments arguments, bool prefix)
    {
        string affix = Text(arguments.Bind(name, "affix").Required(0, name, "affix"));
        return new StringValue(affix.Length == 0 ? text
            : prefix && text.StartsWith(affix, StringComparison.Ordinal) ? text[affix.Length..]
            : !prefix && text.EndsWith(affix, StringComparison.Ordinal) ? text[..^affix.Length] : text);
    }

    private static StringValue Cased(Evaluator evaluator, string name, string text, CallArguments arguments, Func<string, string> change)
    {
        arguments.Bind(name);
        evaluator.Work.Text(text.Length);
        return new StringValue(change(text));
    }

    private static StringValue Join(Evaluator evaluator, string text, CallArguments arguments)
    {
        TemplateValue items = arguments.Bind("join", "iterable").Required(0, "join", "iterable");
        List<string> parts = [];
        long length = 0;
        foreach (TemplateValue item in items.Items is null ? throw TemplateFault.Operation("can only join an iterable") : evaluator.Iterate(items))
        {
            parts.Add(item is StringValue part ? part.Value
                : throw TemplateFault.Operation($"sequence item {parts.Count}: expected str instance, {item.TypeName} found"));
            length += parts[^1].Length + text.Length;
            evaluator.Work.CheckText(length);
        }

        evaluator.Work.Text(length);
        return new StringValue(string.Join(text, parts));
    }

    /// <summary>The units of the part of a text that two bounds in code points name; a start behind the end gives -1.</summary>
    private static (int Start, int Stop) Units(string text, TemplateValue? start, TemplateValue? stop)
    {
        if (start is null or NoneValue && stop is null or NoneValue)
        {
            return (0, text.Length);
        }

        int[] starts = PythonText.Starts(text);
        (int from, int to) = Window(start, stop, starts.Length - 1);
        bool isBehind = from > to || (start is not (null or NoneValue) && Whole(start, "start") > starts.Length - 1);
        return isBehind ? (-1, -1) : (starts[from], starts[to]);
    }

    private static IntValue Find(string name, string text, CallArguments arguments)
    {
        Members.RefuseKeywords(name, arguments);
        TemplateValue?[] bound = arguments.Bind(name, "sub", "start", "end");
        string wanted = Text(bound.Required(0, name, "sub"));
        (int start, int stop) = Units(text, bound[1], bound[2]);
        ReadOnlySpan<char> part = start < 0 ? default : text.AsSpan(start, stop - start);
        int place = start < 0 ? -1
            : name is "find" or "index" ? part.IndexOf(wanted, StringComparison.Ordinal)
            : wanted.Length == 0 ? part.Length : part.LastIndexOf(wanted, StringComparison.Ordinal);
        return place >= 0 ? new IntValue(PythonText.Length(text[..(start + place)]))
            : name is "find" or "rfind" ? new IntValue(-1) : throw TemplateFault.Operation("substring not found");
    }

    private static IntValue Count(string text, CallArguments arguments)
    {
        Members.RefuseKeywords("count", arguments);
        TemplateValue?[] bound = arguments.Bind("count", "sub", "start", "end");
        string wanted = Text(bound.Required(0, "count", "sub"));
        (int start, int stop) = Units(text, bound[1], bound[2]);
        return new IntValue(start < 0 ? 0 : wanted.Length == 0 ? PythonText.Length(text[start..stop]) + 1 : CountOf(text[start..stop], wanted));
    }

    private static int CountOf(string text, string wanted) => text.AsSpan().Count(wanted);

    private static StringValue Pad(Evaluator evaluator, string name, string text, CallArguments arguments)
    {
        Members.RefuseKeywords(name, arguments);
        TemplateValue?[] bound = arguments.Bind(name, "width", "fillchar");
        long width = Whole(bound.Required(0, name, "width"), "width");
        string fill = bound[1] is null ? " " : Text(bound[1]!);
        if (PythonText.Length(fill) != 1)
        {
            throw TemplateFault.Operation("The fill character must be exactly one character long");
        }

        long pad = Math.Max(0, width - PythonText.Length(text));
        evaluator.Work.Text(text.Length + (pad * fill.Length));
        long left = name == "ljust" ? 0 : name == "rjust" ? pad : (pad / 2) + (pad & width & 1);
        return new StringValue(string.Concat(Enumerable.Repeat(fill, (int)left)) + text + string.Concat(Enumerable.Repeat(fill, (int)(pad - left))));
    }

    private static StringValue ZeroFill(Evaluator evaluator, string text, CallArguments arguments)
    {
        long width = Whole(arguments.Bind("zfill", "width").Required(0, "zfill", "width"), "width");
        long pad = Math.Max(0, width - PythonText.Length(text));
        evaluator.Work.Text(text.Length + pad);
        int sign = text.Length > 0 && (text[0] is '+' or '-') ? 1 : 0;
        return new StringValue(text[..sign] + new string('0', (int)pad) + text[sign..]);
    }

    private static BoolValue All(string name, string text, CallArguments arguments, Func<Rune, bool> test)
    {
        arguments.Bind(name);
        return BoolValue.Of(text.Length > 0 && text.EnumerateRunes().All(test));
    }

    private static bool IsSuperscriptDigit(Rune rune) =>
        rune.Value is 0xb2 or 0xb3 or 0xb9 or 0x2070 or (>= 0x2074 and <= 0x2079) or (>= 0x2080 and <= 0x2089);
}

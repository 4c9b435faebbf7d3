using System.Collections.Frozen;
using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>What stands behind a bar: jinja2's filters by name.</summary>
internal static class Filters
{
    public delegate TemplateValue Filter(Evaluator evaluator, TemplateValue value, CallArguments arguments);

    private static readonly FrozenDictionary<string, Filter> All = new Dictionary<string, Filter>
    {
        ["tojson"] = JsonWriting.Filter,
        ["abs"] = NumberFilters.Abs,
        ["round"] = NumberFilters.Round,
        ["int"] = NumberFilters.Int,
        ["float"] = NumberFilters.Float,
        ["sum"] = NumberFilters.Sum,
        ["attr"] = Attr,
        ["default"] = Default,
        ["d"] = Default,
        ["length"] = Length,
        ["count"] = Length,
        ["items"] = Items,
        ["string"] = (e, v, a) => a.Bind("string").Length == 0 ? new StringValue(e.TextOf(v)) : v,

        // Nothing is escaped on its own here, so a text that is marked as safe is the text.
        ["safe"] = (e, v, a) => a.Bind("safe").Length == 0 ? new StringValue(e.TextOf(v)) : v,
        ["batch"] = SequenceFilters.Batch,
        ["slice"] = SequenceFilters.Slice,
        ["first"] = SequenceFilters.First,
        ["last"] = SequenceFilters.Last,
        ["list"] = SequenceFilters.List,
        ["reverse"] = SequenceFilters.Reverse,
        ["join"] = SequenceFilters.Join,
        ["map"] = SequenceFilters.Map,
        ["select"] = (e, v, a) => SequenceFilters.Select(e, v, a, wanted: true, byAttribute: false),
        ["reject"] = (e, v, a) => SequenceFilters.Select(e, v, a, wanted: false, byAttribute: false),
        ["selectattr"] = (e, v, a) => SequenceFilters.Select(e, v, a, wanted: true, byAttribute: true),
        ["rejectattr"] = (e, v, a) => SequenceFilters.Select(e, v, a, wanted: false, byAttribute: true),
        ["unique"] = OrderFilters.Unique,
        ["sort"] = OrderFilters.Sort,
        ["dictsort"] = OrderFilters.DictSort,
        ["groupby"] = OrderFilters.GroupBy,
        ["min"] = (e, v, a) => OrderFilters.Extreme(e, v, a, "min"),
        ["max"] = (e, v, a) => OrderFilters.Extreme(e, v, a, "max"),
        ["upper"] = TextFilters.Upper,
        ["lower"] = TextFilters.Lower,
        ["title"] = TextFilters.Title,
        ["capitalize"] = TextFilters.Capitalize,
        ["trim"] = TextFilters.Trim,
        ["replace"] = TextFilters.Replace,
        ["indent"] = TextFilters.Indent,
        ["center"] = TextFilters.Center,
        ["truncate"] = TextFilters.Truncate,
        ["wordcount"] = TextFilters.WordCount,
        ["format"] = TextFilters.Format,
        ["escape"] = TextFilters.Escape,
        ["e"] = TextFilters.Escape,
        ["forceescape"] = TextFilters.Escape,
        ["urlencode"] = TextFilters.UrlEncode,
    }.ToFrozenDictionary();

    /// <summary>Filters of jinja2 for web pages, or of chance, that are refused by name.</summary>
    private static readonly FrozenSet<string> Unavailable =
        FrozenSet.ToFrozenSet(["filesizeformat", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"]);

    public static bool IsKnown(string name) => All.ContainsKey(name);

    public static Filter Find(string name) => All.TryGetValue(name, out Filter? filter) ? filter
        : Unavailable.Contains(name) ? throw TemplateFault.Unsupported($"the filter {PythonText.Repr(name)} is not available to chat templates")
        : throw TemplateFault.Operation($"No filter named {PythonText.Repr(name)}.");

    /// <summary>What attribute= of several filters names: parts between dots, whole numbers among them as indices.</summary>
    public static Func<TemplateValue, TemplateValue> Getter(Evaluator evaluator, TemplateValue? attribute, TemplateValue? byDefault = null)
    {
        TemplateValue[] parts = attribute switch
        {
            null or NoneValue => [],
            StringValue path => [.. path.Value.Split('.').Select(part => part.Length > 0 && part.All(char.IsAsciiDigit)
                ? PythonNumbers.ParseInteger(part, 10) is BigInteger place ? (TemplateValue)new IntValue(place) : new StringValue(part)
                : new StringValue(part))],
            _ => [attribute],
        };
        return item =>
        {
            foreach (TemplateValue part in parts)
            {
                item = Members.Item(evaluator, item, part);
                item = item is UndefinedValue && byDefault is not (null or NoneValue) ? byDefault : item;
            }

            return item;
        };
    }

    /// <summary>The same, with texts in lower case unless case counts.</summary>
    public static Func<TemplateValue, TemplateValue> KeyGetter(Evaluator evaluator, TemplateValue? attribute, bool caseSensitive, TemplateValue? byDefault = null)
    {
        Func<TemplateValue, TemplateValue> getter = Getter(evaluator, attribute, byDefault);
        return item =>
        {
            TemplateValue key = getter(item);
            evaluator.Work.Text(key is StringValue text ? text.Value.Length : 0);
            return caseSensitive ? key : IgnoreCase(key);
        };
    }

    public static TemplateValue IgnoreCase(TemplateValue value) => value is StringValue text ? new StringValue(PythonCase.Lower(text.Value)) : value;

    private static TemplateValue Attr(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        string name = TextMethods.Text(arguments.Bind("attr", "name").Required(0, "attr", "name"));
        return value is UndefinedValue undefined ? throw undefined.Error() : Members.Own(value, name) ?? UndefinedValue.Attribute(value, name);
    }

    private static TemplateValue Default(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("default", "default_value", "boolean");
        bool isUsed = value is UndefinedValue || (bound[1] is { IsTrue: true } && !value.IsTrue);
        return isUsed ? bound[0] ?? StringValue.Empty : value;
    }

    private static IntValue Length(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("length");
        return new IntValue(value.Length ?? throw TemplateFault.Operation($"object of type '{value.TypeName}' has no len()"));
    }

    private static IteratorValue Items(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("items");
        return value switch
        {
            UndefinedValue => new IteratorValue([]),
            DictValue dict => new IteratorValue(new DictViewValue(dict, "items").Items),
            _ => throw TemplateFault.Operation("Can only get item pairs from a mapping."),
        };
    }
}

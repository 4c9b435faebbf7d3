using System.Collections.Frozen;
using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>The names that every template has: jinja2's, and the two of transformers.</summary>
internal static class Globals
{
    /// <summary>The elements that a range may have; jinja2's sandbox has the same bound.</summary>
    private const int MaxRange = 100_000;

    private static readonly FrozenDictionary<string, TemplateValue> All = new Dictionary<string, TemplateValue>
    {
        ["range"] = new FunctionValue("range", (_, arguments) => Range(arguments), "type"),
        ["dict"] = new FunctionValue("dict", Dict, "type"),
        ["namespace"] = new FunctionValue("namespace", Namespace, "type"),
        ["cycler"] = new FunctionValue("cycler", (_, arguments) => arguments.Keywords.Count == 0 && arguments.Positional.Count > 0
            ? new CyclerValue(arguments.Positional) : throw TemplateFault.Operation("at least one item has to be provided"), "type"),
        ["joiner"] = new FunctionValue("joiner", (_, arguments) => new JoinerValue(arguments.Bind("joiner", "sep")[0] ?? new StringValue(", ")), "type"),
        ["lipsum"] = new FunctionValue("lipsum", (_, _) => throw TemplateFault.Unsupported("lipsum is not available to chat templates: its text is random")),
        ["raise_exception"] = new FunctionValue("raise_exception", (evaluator, arguments) =>
            throw new TemplateFault(TemplateErrorKind.Raised,
                evaluator.TextOf(arguments.Bind("raise_exception", "message").Required(0, "raise_exception", "message")))),
        ["strftime_now"] = new FunctionValue("strftime_now", (evaluator, arguments) => new StringValue(TimeFormat.Format(
            evaluator.Work.Options.Clock.GetLocalNow(),
            TextMethods.Text(arguments.Bind("strftime_now", "format").Required(0, "strftime_now", "format"))))),
    }.ToFrozenDictionary();

    public static TemplateValue? Find(string name) => All.GetValueOrDefault(name);

    private static RangeValue Range(CallArguments arguments)
    {
        if (arguments.Keywords.Count > 0 || arguments.Positional.Count is 0 or > 3)
        {
            throw TemplateFault.Operation($"range expected 1 to 3 arguments, got {arguments.Positional.Count + arguments.Keywords.Count}");
        }

        BigInteger[] numbers = [.. arguments.Positional.Select(p => p is UndefinedValue undefined ? throw undefined.Error()
            : Operators.WholeOf(p) ?? throw TemplateFault.Operation($"'{p.TypeName}' object cannot be interpreted as an integer"))];
        BigInteger start = numbers.Length > 1 ? numbers[0] : 0;
        BigInteger stop = numbers.Length > 1 ? numbers[1] : numbers[0];
        BigInteger step = numbers.Length > 2 ? numbers[2] : 1;
        if (step.IsZero)
        {
            throw TemplateFault.Operation("range() arg 3 must not be zero");
        }

        BigInteger span = step.Sign > 0 ? stop - start : start - stop;
        BigInteger count = span.Sign <= 0 ? BigInteger.Zero : (span + BigInteger.Abs(step) - 1) / BigInteger.Abs(step);
        return count <= MaxRange ? new RangeValue(start, stop, step, (int)count)
            : throw TemplateFault.Limit($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MaxRange}).");
    }

    private static DictValue Dict(Evaluator evaluator, CallArguments arguments)
    {
        if (arguments.Positional.Count > 1)
        {
            throw TemplateFault.Operation($"dict expected at most 1 argument, got {arguments.Positional.Count}");
        }

        DictValue result = new();
        if (arguments.Positional.Count == 1)
        {
            if (arguments.Positional[0] is DictValue source)
            {
                foreach ((TemplateValue key, TemplateValue value) in source.Entries)
                {
                    result.Set(key, value);
                }
            }
            else
            {
                foreach (TemplateValue item in evaluator.Iterate(arguments.Positional[0]))
                {
                    TemplateValue[] pair = [.. evaluator.Iterate(item)];
                    if (pair.Length != 2)
                    {
                        throw TemplateFault.Operation($"dictionary update sequence element #{result.Entries.Count} has length {pair.Length}; 2 is required");
                    }

                    result.Set(pair[0], pair[1]);
                }
            }
        }

        foreach ((string key, TemplateValue value) in arguments.Keywords)
        {
            result.Set(new StringValue(key), value);
        }

        evaluator.Work.Elements(result.Entries.Count);
        return result;
    }

    private static NamespaceValue Namespace(Evaluator evaluator, CallArguments arguments)
    {
        NamespaceValue result = new();
        foreach ((TemplateValue key, TemplateValue value) in Dict(evaluator, arguments).Entries)
        {
            result.Attributes[TextMethods.Text(key)] = value;
        }

        return result;
    }
}

namespace Bitsmith.Models.Text.Templates;

/// <summary>Filters of rows of values. What Python makes a generator is made as it is gone through here, too.</summary>
internal static class SequenceFilters
{
    public static TemplateValue First(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("first");
        return evaluator.Iterate(value).FirstOrDefault() ?? new UndefinedValue("No first item, sequence was empty.");
    }

    public static TemplateValue Last(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("last");
        if (value is IteratorValue || value.Items is null)
        {
            throw TemplateFault.Operation($"'{value.TypeName}' object is not reversible");
        }

        return value is ListValue list ? list.Elements.Count > 0 ? list.Elements[^1] : new UndefinedValue("No last item, sequence was empty.")
            : evaluator.Iterate(value).LastOrDefault() ?? new UndefinedValue("No last item, sequence was empty.");
    }

    public static TemplateValue List(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("list");
        return Made(evaluator, value);
    }

    public static TemplateValue Reverse(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        arguments.Bind("reverse");
        if (value is StringValue text)
        {
            evaluator.Work.Text(text.Value.Length);
            return new StringValue(string.Concat(PythonText.Elements(text.Value).Reverse()));
        }

        if (value.Items is null)
        {
            throw TemplateFault.Operation("argument must be iterable");
        }

        ListValue items = Made(evaluator, value);
        ListValue reversed = new([.. items.Elements.Reverse()]);
        return value switch
        {
            IteratorValue or UndefinedValue => reversed,
            ListValue { IsTuple: false } => new IteratorValue(reversed.Elements, "list_reverseiterator"),
            _ => new IteratorValue(reversed.Elements, "reversed"),
        };
    }

    public static TemplateValue Join(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("join", "d", "attribute");
        Func<TemplateValue, TemplateValue> getter = Filters.Getter(evaluator, bound[1]);
        string separator = bound[0] is null ? string.Empty : evaluator.TextOf(bound[0]!);
        List<string> parts = [];
        long length = 0;
        foreach (TemplateValue item in evaluator.Iterate(value))
        {
            parts.Add(evaluator.TextOf(getter(item)));
            length += parts[^1].Length + separator.Length;
            evaluator.Work.CheckText(length);
        }

        evaluator.Work.Text(length);
        return new StringValue(string.Join(separator, parts));
    }

    public static TemplateValue Map(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        if (arguments.Positional.Count == 0 && arguments.Keywords.Any(k => k.Key == "attribute"))
        {
            TemplateValue?[] bound = (arguments with { Positional = [] }).Bind("map", "attribute", "default");
            return Lazy(evaluator, value, Filters.Getter(evaluator, bound[0], bound[1]));
        }

        if (arguments.Positional.Count == 0)
        {
            throw TemplateFault.Operation("map requires a filter argument");
        }

        string name = Name(arguments.Positional[0], "filter");
        CallArguments rest = arguments.Rest();
        return Lazy(evaluator, value, item => evaluator.ApplyFilter(name, item, rest));
    }

    public static TemplateValue Select(Evaluator evaluator, TemplateValue value, CallArguments arguments, bool wanted, bool byAttribute)
    {
        if (byAttribute && arguments.Positional.Count == 0)
        {
            throw TemplateFault.Operation("Missing parameter for attribute name");
        }

        Func<TemplateValue, TemplateValue> getter = byAttribute ? Filters.Getter(evaluator, arguments.Positional[0]) : item => item;
        CallArguments rest = byAttribute ? arguments.Rest() : arguments;
        if (rest.Positional.Count == 0)
        {
            return Chosen(evaluator, value, item => getter(item).IsTrue == wanted);
        }

        string name = Name(rest.Positional[0], "test");
        CallArguments others = rest.Rest();
        return Chosen(evaluator, value, item => evaluator.ApplyTest(name, getter(item), others) == wanted);
    }

    public static TemplateValue Batch(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("batch", "linecount", "fill_with");
        int count = (int)TextMethods.Whole(bound.Required(0, "batch", "linecount"), "linecount");
        return new IteratorValue(Batches(evaluator, evaluator.Iterate(value), count, bound[1]));
    }

    public static TemplateValue Slice(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("slice", "slices", "fill_with");
        long slices = TextMethods.Whole(bound.Required(0, "slice", "slices"), "slices");
        return slices == 0 ? throw TemplateFault.Operation("integer division or modulo by zero")
            : new IteratorValue(Slices(evaluator, value, slices, bound[1]));
    }

    public static ListValue Made(Evaluator evaluator, TemplateValue value)
    {
        List<TemplateValue> items = [];
        foreach (TemplateValue item in evaluator.Iterate(value))
        {
            items.Add(item);
            if (items.Count % 1024 == 0)
            {
                evaluator.Work.Elements(items.Count);
            }
        }

        return new ListValue(items);
    }

    private static string Name(TemplateValue value, string kind) => value is StringValue name ? name.Value
        : throw TemplateFault.Operation($"No {kind} named {(value is UndefinedValue undefined ? $"Undefined. ({undefined.Error().Message}; did you forget to quote the callable name?)" : value.TypeName)}");

    /// <summary>Nothing is looked at before the first element is asked for, and nothing at all where the value counts as false.</summary>
    private static IteratorValue Lazy(Evaluator evaluator, TemplateValue value, Func<TemplateValue, TemplateValue> map)
    {
        return new IteratorValue(Mapped());

        IEnumerable<TemplateValue> Mapped()
        {
            if (value.IsTrue)
            {
                foreach (TemplateValue item in evaluator.Iterate(value))
                {
                    yield return map(item);
                }
            }
        }
    }

    private static IteratorValue Chosen(Evaluator evaluator, TemplateValue value, Func<TemplateValue, bool> isChosen)
    {
        return new IteratorValue(Passing());

        IEnumerable<TemplateValue> Passing()
        {
            if (value.IsTrue)
            {
                foreach (TemplateValue item in evaluator.Iterate(value))
                {
                    if (isChosen(item))
                    {
                        yield return item;
                    }
                }
            }
        }
    }

    private static IEnumerable<TemplateValue> Batches(Evaluator evaluator, IEnumerable<TemplateValue> items, int count, TemplateValue? fill)
    {
        List<TemplateValue> batch = [];
        foreach (TemplateValue item in items)
        {
            if (batch.Count == count)
            {
                yield return new ListValue(batch);
                batch = [];
            }

            batch.Add(item);
        }

        if (batch.Count == 0)
        {
            yield break;
        }

        if (fill is not (null or NoneValue) && batch.Count < count)
        {
            evaluator.Work.Elements(count);
            batch.AddRange(Enumerable.Repeat(fill, count - batch.Count));
        }

        yield return new ListValue(batch);
    }

    private static IEnumerable<TemplateValue> Slices(Evaluator evaluator, TemplateValue value, long slices, TemplateValue? fill)
    {
        IReadOnlyList<TemplateValue> items = Made(evaluator, value).Elements;
        long size = items.Count / slices, extra = items.Count % slices;
        int at = 0;
        for (long i = 0; i < slices; i++)
        {
            evaluator.Work.Step();
            int length = (int)(size + (i < extra ? 1 : 0));
            List<TemplateValue> slice = [.. items.Skip(at).Take(length)];
            at += length;
            if (fill is not (null or NoneValue) && i >= extra)
            {
                slice.Add(fill);
            }

            yield return new ListValue(slice);
        }
    }
}

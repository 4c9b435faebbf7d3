namespace Bitsmith.Models.Text.Templates;

/// <summary>Filters that compare the elements of a row.</summary>
internal static class OrderFilters
{
    public static TemplateValue Sort(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("sort", "reverse", "case_sensitive", "attribute");
        bool caseSensitive = bound[1]?.IsTrue ?? false;

        // Several attributes between commas make a key of several parts.
        Func<TemplateValue, TemplateValue>[] getters = bound[2] is StringValue path
            ? [.. path.Value.Split(',').Select(part => Filters.KeyGetter(evaluator, new StringValue(part), caseSensitive))]
            : [Filters.KeyGetter(evaluator, bound[2], caseSensitive)];
        return new ListValue(Sorting.Sort(
            evaluator.Work, evaluator.Iterate(value), item => new ListValue([.. getters.Select(g => g(item))]), bound[0]?.IsTrue ?? false));
    }

    public static TemplateValue DictSort(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("dictsort", "case_sensitive", "by", "reverse");
        string by = bound[1] is null ? "key" : TextMethods.Text(bound[1]!);
        if (by is not ("key" or "value"))
        {
            throw TemplateFault.Operation("You can only sort by either \"key\" or \"value\"");
        }

        DictValue dict = value as DictValue ?? throw (value is UndefinedValue undefined ? undefined.Error()
            : TemplateFault.Operation($"'{value.TypeName}' object has no attribute 'items'"));
        bool caseSensitive = bound[0]?.IsTrue ?? false;
        List<KeyValuePair<TemplateValue, TemplateValue>> sorted = Sorting.Sort(
            evaluator.Work, dict.Entries,
            entry => (by == "key" ? entry.Key : entry.Value) is TemplateValue key && caseSensitive ? key : Filters.IgnoreCase(by == "key" ? entry.Key : entry.Value),
            bound[2]?.IsTrue ?? false);
        return new ListValue([.. sorted.Select(e => new ListValue([e.Key, e.Value], isTuple: true))]);
    }

    public static TemplateValue GroupBy(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("groupby", "attribute", "default", "case_sensitive");
        TemplateValue attribute = bound.Required(0, "groupby", "attribute");
        bool caseSensitive = bound[2]?.IsTrue ?? false;
        Func<TemplateValue, TemplateValue> keyOf = Filters.KeyGetter(evaluator, attribute, caseSensitive, bound[1]);
        Func<TemplateValue, TemplateValue> shown = Filters.Getter(evaluator, attribute, bound[1]);
        List<TemplateValue> groups = [];
        List<TemplateValue> group = [];
        TemplateValue? last = null;
        foreach (TemplateValue item in Sorting.Sort(evaluator.Work, evaluator.Iterate(value), keyOf, reverse: false))
        {
            TemplateValue key = keyOf(item);
            if (last is not null && !Operators.AreEqual(evaluator.Work, last, key))
            {
                groups.Add(new ListValue([shown(group[0]), new ListValue(group)], isTuple: true));
                group = [];
            }

            group.Add(item);
            last = key;
        }

        if (group.Count > 0)
        {
            groups.Add(new ListValue([shown(group[0]), new ListValue(group)], isTuple: true));
        }

        return new ListValue(groups);
    }

    public static TemplateValue Unique(Evaluator evaluator, TemplateValue value, CallArguments arguments)
    {
        TemplateValue?[] bound = arguments.Bind("unique", "case_sensitive", "attribute");
        Func<TemplateValue, TemplateValue> keyOf = Filters.KeyGetter(evaluator, bound[1], bound[0]?.IsTrue ?? false);
        HashSet<TemplateValue> seen = new(KeyComparer.Instance);
        return new IteratorValue(evaluator.Iterate(value).Where(item => seen.Add(keyOf(item))));
    }

    public static TemplateValue Extreme(Evaluator evaluator, TemplateValue value, CallArguments arguments, string name)
    {
        TemplateValue?[] bound = arguments.Bind(name, "case_sensitive", "attribute");
        Func<TemplateValue, TemplateValue> keyOf = Filters.KeyGetter(evaluator, bound[1], bound[0]?.IsTrue ?? false);
        TemplateValue? best = null, bestKey = null;
        foreach (TemplateValue item in evaluator.Iterate(value))
        {
            TemplateValue key = keyOf(item);
            if (bestKey is null || Operators.IsOrdered(evaluator.Work, name == "min" ? "<" : ">", key, bestKey))
            {
                (best, bestKey) = (item, key);
            }
        }

        return best ?? new UndefinedValue("No aggregated item, sequence was empty.");
    }
}

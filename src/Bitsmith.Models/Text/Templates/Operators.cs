using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Comparison, order, membership and elements of values, as Python has them.</summary>
internal static class Operators
{
    /// <summary>A truth value or whole number as whole number, or null.</summary>
    public static BigInteger? WholeOf(TemplateValue value) => value switch
    {
        IntValue whole => whole.Value,
        BoolValue truth => truth.Value ? BigInteger.One : BigInteger.Zero,
        _ => null,
    };

    /// <summary>Whether both are numbers, truth values among them, and equal.</summary>
    public static bool NumbersEqual(TemplateValue left, TemplateValue right) => CompareNumbers(left, right) == 0;

    public static bool AreEqual(Work work, TemplateValue left, TemplateValue right)
    {
        if (ReferenceEquals(left, right))
        {
            return left is not FloatValue { Value: double.NaN };
        }

        work.Enter();
        try
        {
            return (left, right) switch
            {
                (StringValue a, StringValue b) => TextsEqual(work, a.Value, b.Value),
                (ListValue a, ListValue b) => a.IsTuple == b.IsTuple && a.Elements.Count == b.Elements.Count
                    && a.Elements.Zip(b.Elements).All(p => SameOrEqual(work, p.First, p.Second)),
                (DictValue a, DictValue b) => a.Entries.Count == b.Entries.Count
                    && a.Entries.All(e => b.Find(e.Key) is TemplateValue other && SameOrEqual(work, e.Value, other)),
                (RangeValue a, RangeValue b) => a.Count == b.Count && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step))),
                (UndefinedValue, UndefinedValue) => true,
                _ => NumbersEqual(left, right),
            };
        }
        finally
        {
            work.Leave();
        }
    }

    /// <summary>Elements of containers: the same one is equal to itself whatever it says.</summary>
    public static bool SameOrEqual(Work work, TemplateValue left, TemplateValue right) =>
        ReferenceEquals(left, right) || AreEqual(work, left, right);

    /// <summary>One of the operators ==, !=, &lt;, &lt;=, &gt;, &gt;=, in and not in.</summary>
    public static bool Compare(Evaluator evaluator, string op, TemplateValue left, TemplateValue right) => op switch
    {
        "==" => AreEqual(evaluator.Work, left, right),
        "!=" => !AreEqual(evaluator.Work, left, right),
        "in" => Contains(evaluator, right, left),
        "not in" => !Contains(evaluator, right, left),
        _ => IsOrdered(evaluator.Work, op, left, right),
    };

    /// <summary>One of the operators &lt;, &lt;=, &gt; and &gt;=.</summary>
    public static bool IsOrdered(Work work, string op, TemplateValue left, TemplateValue right)
    {
        work.Enter();
        try
        {
            switch (left, right)
            {
                case (UndefinedValue undefined, _):
                    throw undefined.Error();
                case (_, UndefinedValue undefined):
                    throw undefined.Error();
                case (StringValue a, StringValue b):
                    work.Text(Math.Min(a.Value.Length, b.Value.Length));
                    return Holds(op, PythonText.Compare(a.Value, b.Value));
                case (ListValue a, ListValue b) when a.IsTuple == b.IsTuple:
                    for (int i = 0; i < Math.Min(a.Elements.Count, b.Elements.Count); i++)
                    {
                        if (!SameOrEqual(work, a.Elements[i], b.Elements[i]))
                        {
                            return IsOrdered(work, op, a.Elements[i], b.Elements[i]);
                        }
                    }

                    return Holds(op, a.Elements.Count.CompareTo(b.Elements.Count));
            }

            if (left is IntValue or BoolValue or FloatValue && right is IntValue or BoolValue or FloatValue)
            {
                return CompareNumbers(left, right) is int order && Holds(op, order);
            }

            throw TemplateFault.Operation($"'{op}' not supported between instances of '{left.TypeName}' and '{right.TypeName}'");
        }
        finally
        {
            work.Leave();
        }
    }

    public static bool Contains(Evaluator evaluator, TemplateValue container, TemplateValue item)
    {
        evaluator.Work.Text(item is StringValue wanted ? wanted.Value.Length : 0);
        switch (container)
        {
            case StringValue text:
                evaluator.Work.Text(text.Value.Length);
                return item is StringValue part ? text.Value.Contains(part.Value, StringComparison.Ordinal)
                    : throw TemplateFault.Operation($"'in <string>' requires string as left operand, not {item.TypeName}");
            case DictValue dict:
                return dict.Find(item) is not null;
            case DictViewValue { TypeName: "dict_keys" } view:
                return view.Dict.Find(item) is not null;
        }

        if (container.Items is null)
        {
            throw TemplateFault.Operation($"argument of type '{container.TypeName}' is not iterable");
        }

        foreach (TemplateValue element in evaluator.Iterate(container))
        {
            if (SameOrEqual(evaluator.Work, element, item))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A slice of a text, list, tuple or range.</summary>
    public static TemplateValue Slice(Work work, TemplateValue target, TemplateValue? start, TemplateValue? stop, TemplateValue? step)
    {
        if (target is UndefinedValue undefined)
        {
            throw undefined.Error();
        }

        if (target is not (StringValue or ListValue or RangeValue))
        {
            throw TemplateFault.Operation($"'{target.TypeName}' object cannot be sliced");
        }

        work.Text(target is StringValue sliced ? sliced.Value.Length : 0);
        long by = SliceNumber(step, 1, int.MaxValue);
        if (by == 0)
        {
            throw TemplateFault.Operation("slice step cannot be zero");
        }

        int length = target.Length!.Value;
        long from = SliceNumber(start, by > 0 ? 0 : length - 1, length);
        long to = SliceNumber(stop, by > 0 ? length : -1 - (long)length, length);
        from = Clamp(from, length, by);
        to = Clamp(to, length, by);
        int count = (int)Math.Max(0, by > 0 ? (to - from + by - 1) / by : (from - to - by - 1) / -by);
        work.Elements(count);
        return target switch
        {
            RangeValue range => new RangeValue(range.Start + (from * range.Step), range.Start + (to * range.Step), by * range.Step, count),
            ListValue list => new ListValue([.. Enumerable.Range(0, count).Select(i => list.Elements[(int)(from + (i * by))])], list.IsTuple),
            _ => SliceText(((StringValue)target).Value, (int)from, by, count),
        };
    }

    /// <summary>An index counted from the start, or from the end where negative; null where it is outside.</summary>
    public static int? Index(BigInteger index, int length)
    {
        BigInteger place = index.Sign < 0 ? index + length : index;
        return place.Sign >= 0 && place < length ? (int)place : null;
    }

    private static StringValue SliceText(string text, int from, long by, int count)
    {
        if (count == 0)
        {
            return StringValue.Empty;
        }

        if (PythonText.IsUnitPerCodePoint(text))
        {
            return new StringValue(by == 1 ? text.Substring(from, count)
                : string.Create(count, (text, from, by), static (span, s) =>
                {
                    for (int i = 0; i < span.Length; i++)
                    {
                        span[i] = s.text[(int)(s.from + (i * s.by))];
                    }
                }));
        }

        int[] starts = PythonText.Starts(text);
        return new StringValue(string.Concat(Enumerable.Range(0, count)
            .Select(i => (int)(from + (i * by))).Select(i => text[starts[i]..starts[i + 1]])));
    }

    private static long SliceNumber(TemplateValue? value, long absent, long bound)
    {
        if (value is null or NoneValue)
        {
            return absent;
        }

        BigInteger number = WholeOf(value) ?? throw TemplateFault.Operation("slice indices must be integers or None");
        return (long)BigInteger.Max(-bound - 1, BigInteger.Min(number, bound));
    }

    private static long Clamp(long place, int length, long step)
    {
        place = place < 0 ? place + length : place;
        return step > 0 ? Math.Clamp(place, 0, length) : Math.Clamp(place, -1, length - 1);
    }

    /// <summary>Long texts are compared again and again for the price of one step unless their length counts.</summary>
    private static bool TextsEqual(Work work, string left, string right)
    {
        if (left.Length != right.Length)
        {
            return false;
        }

        work.Text(left.Length);
        return left == right;
    }

    private static bool Holds(string op, int order) => op switch
    {
        "<" => order < 0,
        "<=" => order <= 0,
        ">" => order > 0,
        _ => order >= 0,
    };

    /// <summary>The order of two numbers, exact between whole and floating ones; null where one is none or not a number.</summary>
    private static int? CompareNumbers(TemplateValue left, TemplateValue right)
    {
        if (WholeOf(left) is BigInteger a && WholeOf(right) is BigInteger b)
        {
            return a.CompareTo(b);
        }

        if (left is FloatValue x && right is FloatValue y)
        {
            return double.IsNaN(x.Value) || double.IsNaN(y.Value) ? null : x.Value.CompareTo(y.Value);
        }

        return left is FloatValue first && WholeOf(right) is BigInteger second ? CompareMixed(first.Value, second)
            : right is FloatValue other && WholeOf(left) is BigInteger whole ? -CompareMixed(other.Value, whole)
            : null;
    }

    private static int? CompareMixed(double number, BigInteger whole)
    {
        if (double.IsNaN(number))
        {
            return null;
        }

        if (double.IsInfinity(number))
        {
            return number > 0 ? 1 : -1;
        }

        int order = new BigInteger(Math.Floor(number)).CompareTo(whole);
        return order == 0 && Math.Floor(number) != number ? 1 : order;
    }
}

using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>A list or a tuple; nothing in a template can change either.</summary>
internal sealed class ListValue(IReadOnlyList<TemplateValue> elements, bool isTuple = false) : TemplateValue
{
    public IReadOnlyList<TemplateValue> Elements { get; } = elements;

    public bool IsTuple { get; } = isTuple;

    internal override string TypeName => IsTuple ? "tuple" : "list";

    internal override bool IsTrue => Elements.Count > 0;

    internal override int? Length => Elements.Count;

    internal override IEnumerable<TemplateValue> Items => Elements;
}

/// <summary>A dictionary in the order of its entries.</summary>
internal sealed class DictValue : TemplateValue
{
    private readonly Dictionary<TemplateValue, int> places = new(KeyComparer.Instance);
    private readonly List<KeyValuePair<TemplateValue, TemplateValue>> entries = [];

    public IReadOnlyList<KeyValuePair<TemplateValue, TemplateValue>> Entries => entries;

    internal override string TypeName => "dict";

    internal override bool IsTrue => entries.Count > 0;

    internal override int? Length => entries.Count;

    internal override IEnumerable<TemplateValue> Items => entries.Select(e => e.Key);

    /// <summary>Only while the dictionary is built.</summary>
    public void Set(TemplateValue key, TemplateValue value)
    {
        if (places.TryGetValue(key, out int place))
        {
            entries[place] = new(entries[place].Key, value);
        }
        else
        {
            places.Add(key, entries.Count);
            entries.Add(new(key, value));
        }
    }

    /// <summary>The value of a key; a key that Python cannot hash is a fault.</summary>
    public TemplateValue? Find(TemplateValue key) => places.TryGetValue(key, out int place) ? entries[place].Value : null;

    public TemplateValue? Find(string key) => Find(new StringValue(key));
}

/// <summary>Keys are the same where Python's are: 1, 1.0 and True are one key.</summary>
internal sealed class KeyComparer : IEqualityComparer<TemplateValue>
{
    private const int MaxDepth = 200;
    private const int MaxParts = 100_000;

    public static KeyComparer Instance { get; } = new();

    public bool Equals(TemplateValue? x, TemplateValue? y) => ReferenceEquals(x, y) || (x, y) switch
    {
        (StringValue a, StringValue b) => a.Value == b.Value,
        (ListValue a, ListValue b) => a.Elements.Count == b.Elements.Count && a.Elements.Zip(b.Elements).All(p => Equals(p.First, p.Second)),
        (UndefinedValue, UndefinedValue) => true,
        _ => x is not null && y is not null && Operators.NumbersEqual(x, y),
    };

    public int GetHashCode(TemplateValue obj)
    {
        int parts = MaxParts;
        return Hash(obj, MaxDepth, ref parts);
    }

    private static int Hash(TemplateValue value, int depth, ref int parts)
    {
        // Tuples that hold the same tuple twice, over and over, are small in memory and endless to walk.
        if (depth == 0 || --parts == 0)
        {
            throw TemplateFault.Limit($"a key is nested more than {MaxDepth} deep or has more than {MaxParts} parts");
        }

        switch (value)
        {
            case StringValue text:
                return text.Value.GetHashCode(StringComparison.Ordinal);
            case BoolValue truth:
                return new BigInteger(truth.Value ? 1 : 0).GetHashCode();
            case IntValue whole:
                return whole.Value.GetHashCode();
            case FloatValue number:
                return double.IsFinite(number.Value) && Math.Floor(number.Value) == number.Value
                    ? new BigInteger(number.Value).GetHashCode() : number.Value.GetHashCode();
            case ListValue { IsTuple: true } tuple:
                HashCode hash = default;
                foreach (TemplateValue item in tuple.Elements)
                {
                    hash.Add(Hash(item, depth - 1, ref parts));
                }

                return hash.ToHashCode();
            case ListValue or DictValue or DictViewValue:
                throw TemplateFault.Operation($"unhashable type: '{value.TypeName}'");
            case UndefinedValue:
                return 0;
            default:
                return System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(value);
        }
    }
}

/// <summary>What range() gives; its numbers are made as they are asked for.</summary>
internal sealed class RangeValue(BigInteger start, BigInteger stop, BigInteger step, int count) : TemplateValue
{
    public BigInteger Start { get; } = start;

    public BigInteger Stop { get; } = stop;

    public BigInteger Step { get; } = step;

    public int Count { get; } = count;

    internal override string TypeName => "range";

    internal override bool IsTrue => Count > 0;

    internal override int? Length => Count;

    internal override IEnumerable<TemplateValue> Items => Enumerable.Range(0, Count).Select(At);

    public TemplateValue At(int index) => new IntValue(Start + (Step * index));
}

/// <summary>What keys(), values() and items() of a dictionary give.</summary>
internal sealed class DictViewValue(DictValue dict, string kind) : TemplateValue
{
    public DictValue Dict { get; } = dict;

    internal override string TypeName => "dict_" + kind;

    internal override bool IsTrue => Dict.Entries.Count > 0;

    internal override int? Length => Dict.Entries.Count;

    internal override IEnumerable<TemplateValue> Items => kind switch
    {
        "keys" => Dict.Entries.Select(e => e.Key),
        "values" => Dict.Entries.Select(e => e.Value),
        _ => Dict.Entries.Select(e => (TemplateValue)new ListValue([e.Key, e.Value], isTuple: true)),
    };
}

/// <summary>A row of values that can be gone through once and is made as it is gone through, as a Python generator.</summary>
internal sealed class IteratorValue(IEnumerable<TemplateValue> source, string typeName = "generator") : TemplateValue
{
    private IEnumerator<TemplateValue>? rest;

    internal override string TypeName => typeName;

    internal override IEnumerable<TemplateValue> Items
    {
        get
        {
            rest ??= source.GetEnumerator();
            while (rest.MoveNext())
            {
                yield return rest.Current;
            }
        }
    }
}

/// <summary>What namespace() gives: the one value that a template can change.</summary>
internal sealed class NamespaceValue : TemplateValue
{
    public OrderedDictionary<string, TemplateValue> Attributes { get; } = [];

    internal override string TypeName => "Namespace";

    internal override string ObjectName => "jinja2.utils.Namespace object";
}

using System.Collections.Frozen;

namespace Bitsmith.Models.Text.Templates;

/// <summary>What stands behind <c>is</c>.</summary>
internal static class Tests
{
    public delegate bool Test(Evaluator evaluator, TemplateValue value, CallArguments arguments);

    private static readonly FrozenDictionary<string, Test> All = new Dictionary<string, Test>
    {
        ["defined"] = Plain("defined", v => v is not UndefinedValue),
        ["undefined"] = Plain("undefined", v => v is UndefinedValue),
        ["none"] = Plain("none", v => v is NoneValue),
        ["boolean"] = Plain("boolean", v => v is BoolValue),
        ["true"] = Plain("true", v => v is BoolValue { Value: true }),
        ["false"] = Plain("false", v => v is BoolValue { Value: false }),
        ["integer"] = Plain("integer", v => v is IntValue),
        ["float"] = Plain("float", v => v is FloatValue),
        ["number"] = Plain("number", v => v is IntValue or FloatValue or BoolValue),
        ["string"] = Plain("string", v => v is StringValue),
        ["mapping"] = Plain("mapping", v => v is DictValue),
        ["sequence"] = Plain("sequence", v => v is StringValue or ListValue or DictValue or RangeValue or UndefinedValue),
        ["iterable"] = Plain("iterable", v => v.Items is not null || v is LoopValue),
        ["callable"] = Plain("callable", v => v is CallableValue or UndefinedValue),
        ["escaped"] = Plain("escaped", _ => false),
        ["lower"] = (e, v, a) => a.Bind("lower").Length == 0 && TextMethods.IsCased(e.TextOf(v), upper: false),
        ["upper"] = (e, v, a) => a.Bind("upper").Length == 0 && TextMethods.IsCased(e.TextOf(v), upper: true),
        ["odd"] = (e, v, a) => a.Bind("odd").Length == 0 && Remainder(e, v, new IntValue(2), 1),
        ["even"] = (e, v, a) => a.Bind("even").Length == 0 && Remainder(e, v, new IntValue(2), 0),
        ["divisibleby"] = (e, v, a) => Remainder(e, v, a.Bind("divisibleby", "num").Required(0, "divisibleby", "num"), 0),
        ["sameas"] = (_, v, a) => IsSame(v, a.Bind("sameas", "other").Required(0, "sameas", "other")),
        ["filter"] = (e, v, a) => a.Bind("filter").Length == 0 && v is StringValue name && Filters.IsKnown(name.Value),
        ["test"] = (e, v, a) => a.Bind("test").Length == 0 && v is StringValue name && IsKnown(name.Value),
        ["in"] = (e, v, a) => Operators.Contains(e, a.Bind("in", "seq").Required(0, "in", "seq"), v),
        ["=="] = Comparison("=="),
        ["eq"] = Comparison("=="),
        ["equalto"] = Comparison("=="),
        ["!="] = Comparison("!="),
        ["ne"] = Comparison("!="),
        [">"] = Comparison(">"),
        ["gt"] = Comparison(">"),
        ["greaterthan"] = Comparison(">"),
        [">="] = Comparison(">="),
        ["ge"] = Comparison(">="),
        ["<"] = Comparison("<"),
        ["lt"] = Comparison("<"),
        ["lessthan"] = Comparison("<"),
        ["<="] = Comparison("<="),
        ["le"] = Comparison("<="),
    }.ToFrozenDictionary();

    public static bool IsKnown(string name) => All.ContainsKey(name);

    public static Test Find(string name) =>
        All.TryGetValue(name, out Test? test) ? test : throw TemplateFault.Operation($"No test named {PythonText.Repr(name)}.");

    private static Test Plain(string name, Func<TemplateValue, bool> test) => (_, value, arguments) =>
    {
        arguments.Bind(name);
        return test(value);
    };

    private static Test Comparison(string op) => (evaluator, value, arguments) =>
        Operators.Compare(evaluator, op, value, arguments.Bind(op, "other").Required(0, op, "other"));

    private static bool Remainder(Evaluator evaluator, TemplateValue value, TemplateValue divisor, long expected) =>
        Operators.NumbersEqual(Arithmetic.Binary(evaluator, "%", value, divisor), new IntValue(expected));

    /// <summary>Whether both are one object; small numbers and texts are one in Python where they are equal.</summary>
    private static bool IsSame(TemplateValue left, TemplateValue right) => ReferenceEquals(left, right) || (left, right) switch
    {
        (IntValue a, IntValue b) => a.Value == b.Value,
        (StringValue a, StringValue b) => a.Value == b.Value,
        _ => false,
    };
}

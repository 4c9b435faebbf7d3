namespace Bitsmith.Models.Text.Templates;

/// <summary>The arguments of a call, evaluated.</summary>
internal sealed record CallArguments(IReadOnlyList<TemplateValue> Positional, IReadOnlyList<KeyValuePair<string, TemplateValue>> Keywords)
{
    public static CallArguments None { get; } = new([], []);

    /// <summary>One value for each name, null where none was given; too many, unknown or doubled arguments are a fault.</summary>
    public TemplateValue?[] Bind(string function, params ReadOnlySpan<string> names)
    {
        if (Positional.Count > names.Length)
        {
            throw TemplateFault.Operation($"{function}() takes at most {names.Length} arguments, {Positional.Count} were given");
        }

        TemplateValue?[] bound = new TemplateValue?[names.Length];
        for (int i = 0; i < Positional.Count; i++)
        {
            bound[i] = Positional[i];
        }

        foreach ((string name, TemplateValue value) in Keywords)
        {
            int place = names.IndexOf(name);
            if (place < 0)
            {
                throw TemplateFault.Operation($"{function}() got an unexpected keyword argument '{name}'");
            }

            bound[place] = bound[place] is null ? value : throw TemplateFault.Operation($"{function}() got multiple values for argument '{name}'");
        }

        return bound;
    }

    /// <summary>Without the first positional argument.</summary>
    public CallArguments Rest(int count = 1) => this with { Positional = [.. Positional.Skip(count)] };
}

internal static class BoundArguments
{
    /// <summary>An argument that the function cannot do without.</summary>
    public static TemplateValue Required(this TemplateValue?[] bound, int place, string function, string name) =>
        bound[place] ?? throw TemplateFault.Operation($"{function}() missing required argument: '{name}'");
}

internal abstract class CallableValue : TemplateValue
{
    internal override string TypeName => "function";

    public abstract TemplateValue Call(Evaluator evaluator, CallArguments arguments);
}

/// <summary>A global function or the method of a value.</summary>
internal sealed class FunctionValue(string name, Func<Evaluator, CallArguments, TemplateValue> body, string typeName = "builtin_function_or_method")
    : CallableValue
{
    public string Name { get; } = name;

    internal override string TypeName => typeName;

    public override TemplateValue Call(Evaluator evaluator, CallArguments arguments) => body(evaluator, arguments);
}

internal sealed class MacroValue(MacroDefinition definition, Scope scope) : CallableValue
{
    public MacroDefinition Definition { get; } = definition;

    /// <summary>Where the macro stands: it sees the names there, not those of its caller.</summary>
    public Scope Scope { get; } = scope;

    internal override string TypeName => "Macro";

    internal override string ObjectName => "jinja2.runtime.Macro object";

    public override TemplateValue Call(Evaluator evaluator, CallArguments arguments) => evaluator.CallMacro(this, arguments);
}

/// <summary>What cycler() gives.</summary>
internal sealed class CyclerValue(IReadOnlyList<TemplateValue> items) : TemplateValue
{
    private int place;

    public TemplateValue Current => items[place];

    internal override string TypeName => "Cycler";

    internal override string ObjectName => "jinja2.utils.Cycler object";

    public TemplateValue Next()
    {
        TemplateValue current = Current;
        place = (place + 1) % items.Count;
        return current;
    }

    public void Reset() => place = 0;
}

/// <summary>What joiner() gives: nothing at its first call, the separator at every later one.</summary>
internal sealed class JoinerValue(TemplateValue separator) : CallableValue
{
    private bool used;

    internal override string TypeName => "Joiner";

    internal override string ObjectName => "jinja2.utils.Joiner object";

    public override TemplateValue Call(Evaluator evaluator, CallArguments arguments)
    {
        arguments.Bind("joiner");
        TemplateValue result = used ? separator : StringValue.Empty;
        used = true;
        return result;
    }
}

/// <summary>The variable <c>loop</c>: looks one element ahead, and further only where the length is asked for.</summary>
internal sealed class LoopValue(TemplateValue source, IEnumerable<TemplateValue> items, ForStatement statement, Scope scope, int depth) : CallableValue
{
    private IEnumerator<TemplateValue> rest = items.GetEnumerator();
    private TemplateValue? ahead;
    private TemplateValue? current;
    private TemplateValue? before;
    private IReadOnlyList<TemplateValue>? lastChanged;
    private int? length = source.Length;

    public int Index0 { get; private set; } = -1;

    public int Depth0 { get; } = depth;

    internal override string TypeName => "LoopContext";

    internal override string ObjectName => "jinja2.runtime.LoopContext object";

    internal override bool IsTrue => Total > 0;

    internal override int? Length => Total;

    private int Total
    {
        get
        {
            if (length is null)
            {
                List<TemplateValue> remaining = [];
                while (rest.MoveNext())
                {
                    remaining.Add(rest.Current);
                }

                rest = remaining.GetEnumerator();
                length = remaining.Count + Index0 + 1 + (ahead is null ? 0 : 1);
            }

            return length.Value;
        }
    }

    public TemplateValue? Next()
    {
        TemplateValue? next = Peek();
        if (next is not null)
        {
            ahead = null;
            Index0++;
            before = current;
            current = next;
        }

        return next;
    }

    public override TemplateValue Call(Evaluator evaluator, CallArguments arguments) => statement.IsRecursive
        ? evaluator.CallLoop(statement, scope, arguments.Bind("loop", "iterable").Required(0, "loop", "iterable"), Depth0 + 1)
        : throw TemplateFault.Operation("The loop must have the 'recursive' marker to be called recursively.");

    public TemplateValue? Attribute(string name) => name switch
    {
        "index" => new IntValue(Index0 + 1),
        "index0" => new IntValue(Index0),
        "revindex" => new IntValue(Total - Index0),
        "revindex0" => new IntValue(Total - Index0 - 1),
        "first" => BoolValue.Of(Index0 == 0),
        "last" => BoolValue.Of(Peek() is null),
        "length" => new IntValue(Total),
        "depth" => new IntValue(Depth0 + 1),
        "depth0" => new IntValue(Depth0),
        "previtem" => Index0 == 0 ? new UndefinedValue("there is no previous item") : before,
        "nextitem" => Peek() ?? new UndefinedValue("there is no next item"),
        "cycle" => new FunctionValue("cycle", (_, arguments) => Cycle(arguments)),
        "changed" => new FunctionValue("changed", (evaluator, arguments) => Changed(evaluator, arguments)),
        _ => null,
    };

    private TemplateValue? Peek() => ahead ??= rest.MoveNext() ? rest.Current : null;

    private TemplateValue Cycle(CallArguments arguments) => arguments.Positional.Count == 0
        ? throw TemplateFault.Operation("no items for cycling given") : arguments.Positional[Index0 % arguments.Positional.Count];

    private BoolValue Changed(Evaluator evaluator, CallArguments arguments)
    {
        bool same = lastChanged is not null && lastChanged.Count == arguments.Positional.Count
            && lastChanged.Zip(arguments.Positional).All(p => Operators.AreEqual(evaluator.Work, p.First, p.Second));
        lastChanged = same ? lastChanged : arguments.Positional;
        return BoolValue.Of(!same);
    }
}

using System.Runtime.CompilerServices;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>The names of a block that keeps what it sets to itself: a pass of a loop, a macro, a collected text.</summary>
internal sealed class Scope(Scope? parent)
{
    private readonly Dictionary<string, TemplateValue> names = [];

    public TemplateValue? Find(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope.names.TryGetValue(name, out TemplateValue? value))
            {
                return value;
            }
        }

        return null;
    }

    private Scope? Parent { get; } = parent;

    public void Set(string name, TemplateValue value) => names[name] = value;
}

/// <summary>One rendering: carries out the statements.</summary>
internal sealed partial class Evaluator
{
    private readonly IReadOnlyDictionary<string, TemplateValue> data;
    private Scope scope = new(null);
    private StringBuilder output = new();

    public Evaluator(IReadOnlyDictionary<string, TemplateValue> data, Work work)
    {
        this.data = data;
        Work = work;
    }

    private enum Flow
    {
        Next,
        Break,
        Continue,
    }

    public Work Work { get; }

    /// <summary>Where the rendering stands: the place of an error.</summary>
    public Position At { get; private set; } = new(1, 1);

    public string Render(IReadOnlyList<Statement> template)
    {
        Run(template);
        return output.ToString();
    }

    /// <summary>The elements of a value; each counts as work. A value without elements is a fault at once, not at the first element.</summary>
    public IEnumerable<TemplateValue> Iterate(TemplateValue value)
    {
        return Counted(value.Items ?? throw TemplateFault.NotIterable(value));

        IEnumerable<TemplateValue> Counted(IEnumerable<TemplateValue> items)
        {
            foreach (TemplateValue item in items)
            {
                Work.Step();
                yield return item;
            }
        }
    }

    public string TextOf(TemplateValue value) => Printing.Text(Work, value);

    /// <summary>A macro's text for arguments that are evaluated.</summary>
    public StringValue CallMacro(MacroValue macro, CallArguments arguments)
    {
        Work.EnterCall();
        MacroDefinition definition = macro.Definition;
        string name = definition.Name is null ? "None" : PythonText.Repr(definition.Name);
        OrderedDictionary<string, TemplateValue> keywords = [];
        foreach ((string key, TemplateValue value) in arguments.Keywords)
        {
            keywords[key] = value;
        }

        Scope outer = scope;
        scope = new Scope(macro.Scope);
        for (int i = 0; i < definition.Parameters.Count; i++)
        {
            (string parameter, Expression? byDefault) = definition.Parameters[i];
            TemplateValue? value = i < arguments.Positional.Count ? arguments.Positional[i] : null;
            if (value is null && keywords.Remove(parameter, out TemplateValue? keyword))
            {
                value = keyword;
            }

            value ??= byDefault is not null ? Evaluate(byDefault) : new UndefinedValue($"parameter {PythonText.Repr(parameter)} was not provided");
            scope.Set(parameter, value);
        }

        if (definition.UsesCaller)
        {
            scope.Set("caller", keywords.Remove("caller", out TemplateValue? caller) ? caller : new UndefinedValue("No caller defined"));
        }

        SetRest(definition, name, arguments, keywords);
        string text = Collect(definition.Body);
        scope = outer;
        Work.LeaveCall();
        return new StringValue(text);
    }

    /// <summary>The text of a recursive loop called with other elements.</summary>
    public StringValue CallLoop(ForStatement loop, Scope around, TemplateValue source, int depth)
    {
        Work.EnterCall();
        Scope outer = scope;
        StringBuilder kept = output;
        (scope, output) = (around, new StringBuilder());
        For(loop, source, depth);
        string text = output.ToString();
        (scope, output) = (outer, kept);
        Work.LeaveCall();
        return new StringValue(text);
    }

    private void SetRest(MacroDefinition definition, string name, CallArguments arguments, OrderedDictionary<string, TemplateValue> keywords)
    {
        if (definition.UsesKeywords)
        {
            scope.Set("kwargs", TemplateValue.From(keywords));
        }
        else if (keywords.Count > 0)
        {
            throw TemplateFault.Operation(keywords.ContainsKey("caller")
                ? $"macro {name} was invoked with two values for the special caller argument. This is most likely a bug."
                : $"macro {name} takes no keyword argument {PythonText.Repr(keywords.GetAt(0).Key)}");
        }

        if (definition.UsesVarargs)
        {
            scope.Set("varargs", new ListValue([.. arguments.Positional.Skip(definition.Parameters.Count)], isTuple: true));
        }
        else if (arguments.Positional.Count > definition.Parameters.Count)
        {
            throw TemplateFault.Operation($"macro {name} takes not more than {definition.Parameters.Count} argument(s)");
        }
    }

    private Flow Run(IReadOnlyList<Statement> statements)
    {
        foreach (Statement statement in statements)
        {
            Work.Step();
            At = statement.Position;
            Flow flow = Run(statement);
            if (flow != Flow.Next)
            {
                return flow;
            }
        }

        return Flow.Next;
    }

    private Flow Run(Statement statement)
    {
        EnsureStack();
        switch (statement)
        {
            case TextStatement text:
                Print(text.Text);
                return Flow.Next;
            case OutputStatement value:
                TemplateValue printed = Evaluate(value.Value);
                At = value.Position;
                Print(TextOf(printed));
                return Flow.Next;
            case IfStatement choice:
                foreach ((Expression test, IReadOnlyList<Statement> body) in choice.Branches)
                {
                    if (Evaluate(test).IsTrue)
                    {
                        return Run(body);
                    }
                }

                return Run(choice.Otherwise);
            case ForStatement loop:
                TemplateValue source = Evaluate(loop.Source);
                At = loop.Source.Position;
                return For(loop, source, depth: 0);
            case JumpStatement jump:
                return jump.IsBreak ? Flow.Break : Flow.Continue;
            case WithStatement with:
                return With(with);
            default:
                RunAssignment(statement);
                return Flow.Next;
        }
    }

    private void RunAssignment(Statement statement)
    {
        switch (statement)
        {
            case SetStatement set:
                Assign(set.Target, Evaluate(set.Value));
                break;
            case SetBlockStatement set:
                Assign(set.Target, Filtered(set.Filter, set.Body));
                break;
            case MacroStatement macro:
                scope.Set(macro.Definition.Name!, new MacroValue(macro.Definition, scope));
                break;
            case CallStatement call:
                TemplateValue result = Call(call.Call, new MacroValue(call.Caller, scope));
                At = call.Position;
                Print(TextOf(result));
                break;
            case FilterStatement filter:
                TemplateValue filtered = Filtered(filter.Filter, filter.Body);
                At = filter.Position;
                Print(TextOf(filtered));
                break;
            case GenerationStatement generation:
                Scope outer = scope;
                scope = new Scope(outer);
                Run(generation.Body);
                scope = outer;
                break;
            default:
                throw new InvalidOperationException($"A statement of type {statement.GetType().Name} cannot be run.");
        }
    }

    private Flow With(WithStatement with)
    {
        Scope outer = scope;
        Scope inner = new(outer);
        foreach ((Target target, Expression expression) in with.Bindings)
        {
            TemplateValue value = Evaluate(expression);
            scope = inner;
            Assign(target, value);
            scope = outer;
        }

        scope = inner;
        Flow flow = Run(with.Body);
        scope = outer;
        return flow;
    }

    private TemplateValue Filtered(Expression? filter, IReadOnlyList<Statement> body)
    {
        Scope outer = scope;
        scope = new Scope(outer);
        StringValue text = new(Collect(body));
        scope = outer;
        if (filter is null)
        {
            return text;
        }

        TemplateValue? kept = input;
        input = text;
        TemplateValue result = Evaluate(filter);
        input = kept;
        return result;
    }

    private string Collect(IReadOnlyList<Statement> body)
    {
        StringBuilder kept = output;
        output = new StringBuilder();
        Run(body);
        string text = output.ToString();
        output = kept;
        return text;
    }

    private Flow For(ForStatement statement, TemplateValue source, int depth)
    {
        Scope outer = scope;
        IEnumerable<TemplateValue> items = Iterate(source);
        TemplateValue counted = source;
        if (statement.Test is not null)
        {
            items = Chosen(statement, items, outer);
            counted = new IteratorValue(items);
        }

        LoopValue loop = new(counted, items, statement, outer, depth);
        bool any = false;
        while (loop.Next() is TemplateValue item)
        {
            any = true;
            Work.Iteration();
            scope = new Scope(outer);
            At = statement.Position;
            Assign(statement.Target, item);
            scope.Set("loop", loop);
            Flow flow = Run(statement.Body);
            scope = outer;
            if (flow == Flow.Break)
            {
                break;
            }
        }

        return any ? Flow.Next : Run(statement.Otherwise);
    }

    /// <summary>The elements that pass a loop's test, tested as the loop comes to them: the body may change what the test reads.</summary>
    private IEnumerable<TemplateValue> Chosen(ForStatement statement, IEnumerable<TemplateValue> items, Scope outer)
    {
        foreach (TemplateValue item in items)
        {
            Work.Iteration();
            Scope kept = scope;
            scope = new Scope(outer);
            Assign(statement.Target, item);
            bool passes = Evaluate(statement.Test!).IsTrue;
            scope = kept;
            if (passes)
            {
                yield return item;
            }
        }
    }

    private void Assign(Target target, TemplateValue value)
    {
        switch (target)
        {
            case NameTarget name:
                scope.Set(name.Name, value);
                break;
            case NamespaceTarget member:
                At = member.Position;
                if (Lookup(member.Name) is not NamespaceValue space)
                {
                    throw TemplateFault.Operation("cannot assign attribute on non-namespace object");
                }

                space.Attributes[member.Attribute] = value;
                break;
            case TupleTarget tuple:
                At = tuple.Position;
                List<TemplateValue> items = [];
                foreach (TemplateValue item in value.Items is null
                    ? throw TemplateFault.Operation($"cannot unpack non-iterable {value.TypeName} object") : Iterate(value))
                {
                    items.Add(items.Count < tuple.Items.Count ? item
                        : throw TemplateFault.Operation($"too many values to unpack (expected {tuple.Items.Count})"));
                }

                if (items.Count < tuple.Items.Count)
                {
                    throw TemplateFault.Operation($"not enough values to unpack (expected {tuple.Items.Count}, got {items.Count})");
                }

                for (int i = 0; i < items.Count; i++)
                {
                    Assign(tuple.Items[i], items[i]);
                }

                break;
        }
    }

    private void Print(string text)
    {
        Work.CheckText((long)output.Length + text.Length);
        Work.Step((text.Length / 16) + 1);
        output.Append(text);
    }

    private static void EnsureStack()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw TemplateFault.Limit("the template goes deeper than the stack of this thread allows");
        }
    }
}

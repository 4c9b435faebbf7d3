using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Values of expressions.</summary>
internal sealed partial class Evaluator
{
    /// <summary>The text that a filter block puts through its filters.</summary>
    private TemplateValue? input;

    public TemplateValue ApplyFilter(string name, TemplateValue value, CallArguments arguments)
    {
        Work.Step();
        return Filters.Find(name)(this, value, arguments);
    }

    public bool ApplyTest(string name, TemplateValue value, CallArguments arguments)
    {
        Work.Step();
        return Tests.Find(name)(this, value, arguments);
    }

    /// <summary>Calls what can be called; anything else is a fault.</summary>
    public TemplateValue Call(TemplateValue target, CallArguments arguments) => target switch
    {
        CallableValue callable => callable.Call(this, arguments),
        UndefinedValue undefined => throw undefined.Error(),
        _ => throw TemplateFault.Operation($"'{target.TypeName}' object is not callable"),
    };

    private TemplateValue Lookup(string name) =>
        scope.Find(name) ?? (data.TryGetValue(name, out TemplateValue? value) ? value : Globals.Find(name)) ?? UndefinedValue.Name(name);

    private TemplateValue Evaluate(Expression expression)
    {
        EnsureStack();
        Work.Step();
        switch (expression)
        {
            case ConstantExpression constant:
                return constant.Value;
            case NameExpression variable:
                return Lookup(variable.Name);
            case AttributeExpression attribute:
                TemplateValue owner = Evaluate(attribute.Target);
                At = attribute.Position;
                return Members.Attribute(owner, attribute.Name);
            case ItemExpression item:
                return Item(item);
            case CallExpression call:
                return Call(call, caller: null);
            case FilterExpression filter:
                TemplateValue filtered = Evaluate(filter.Target);
                CallArguments filterArguments = Arguments(filter.Arguments, null);
                At = filter.Position;
                return ApplyFilter(filter.Name, filtered, filterArguments);
            case TestExpression test:
                TemplateValue tested = Evaluate(test.Target);
                CallArguments testArguments = Arguments(test.Arguments, null);
                At = test.Position;
                return BoolValue.Of(ApplyTest(test.Name, tested, testArguments));
            case InputExpression:
                return input!;
            default:
                return EvaluateOperator(expression);
        }
    }

    private TemplateValue EvaluateOperator(Expression expression)
    {
        switch (expression)
        {
            case UnaryExpression unary:
                TemplateValue operand = Evaluate(unary.Operand);
                At = unary.Position;
                return unary.Operator == "not" ? BoolValue.Of(!operand.IsTrue) : Arithmetic.Unary(unary.Operator, operand);
            case BinaryExpression binary:
                TemplateValue left = Evaluate(binary.Left);
                TemplateValue right = Evaluate(binary.Right);
                At = binary.Position;
                return Arithmetic.Binary(this, binary.Operator, left, right);
            case LogicalExpression logical:
                TemplateValue first = Evaluate(logical.Left);
                return first.IsTrue == logical.IsAnd ? Evaluate(logical.Right) : first;
            case CompareExpression compare:
                return Compare(compare);
            case ConcatExpression concat:
                return Concat(concat);
            case ConditionalExpression conditional:
                return Evaluate(conditional.Test).IsTrue ? Evaluate(conditional.Then)
                    : conditional.Otherwise is not null ? Evaluate(conditional.Otherwise)
                    : new UndefinedValue("the inline if-expression evaluated to false and no else section was defined.");
            case SequenceExpression sequence:
                return new ListValue([.. sequence.Items.Select(Evaluate)], sequence.IsTuple);
            case DictExpression literal:
                DictValue dict = new();
                foreach ((Expression key, Expression value) in literal.Pairs)
                {
                    TemplateValue name = Evaluate(key);
                    Work.Text(name is StringValue text ? text.Value.Length : 0);
                    dict.Set(name, Evaluate(value));
                }

                return dict;
            default:
                throw new InvalidOperationException($"An expression of type {expression.GetType().Name} cannot be evaluated.");
        }
    }

    private TemplateValue Item(ItemExpression item)
    {
        TemplateValue target = Evaluate(item.Target);
        if (item.Index is SliceExpression slice)
        {
            TemplateValue? start = slice.Start is null ? null : Evaluate(slice.Start);
            TemplateValue? stop = slice.Stop is null ? null : Evaluate(slice.Stop);
            TemplateValue? step = slice.Step is null ? null : Evaluate(slice.Step);
            At = item.Position;
            return Operators.Slice(Work, target, start, stop, step);
        }

        TemplateValue index = Evaluate(item.Index);
        At = item.Position;
        return Members.Item(this, target, index);
    }

    private BoolValue Compare(CompareExpression compare)
    {
        TemplateValue left = Evaluate(compare.First);
        foreach ((string op, Expression operand) in compare.Rest)
        {
            TemplateValue right = Evaluate(operand);
            At = compare.Position;
            if (!Operators.Compare(this, op, left, right))
            {
                return BoolValue.Of(false);
            }

            left = right;
        }

        return BoolValue.Of(true);
    }

    private StringValue Concat(ConcatExpression concat)
    {
        TemplateValue[] parts = [.. concat.Parts.Select(Evaluate)];
        At = concat.Position;
        StringBuilder text = new();
        foreach (TemplateValue part in parts)
        {
            string next = TextOf(part);
            Work.Text((long)text.Length + next.Length);
            text.Append(next);
        }

        return new StringValue(text.ToString());
    }

    private TemplateValue Call(CallExpression call, MacroValue? caller)
    {
        TemplateValue target = Evaluate(call.Target);
        CallArguments arguments = Arguments(call.Arguments, caller);
        At = call.Position;
        TemplateValue result = Call(target, arguments);
        At = call.Position;
        return result;
    }

    private CallArguments Arguments(ArgumentList list, MacroValue? caller)
    {
        if (ReferenceEquals(list, ArgumentList.Empty) && caller is null)
        {
            return CallArguments.None;
        }

        List<TemplateValue> positional = [.. list.Positional.Select(Evaluate)];
        List<KeyValuePair<string, TemplateValue>> keywords = [.. list.Keywords.Select(k => KeyValuePair.Create(k.Name, Evaluate(k.Value)))];
        if (list.Star is not null)
        {
            positional.AddRange(Iterate(Evaluate(list.Star)));
        }

        if (list.DoubleStar is not null)
        {
            DictValue rest = Evaluate(list.DoubleStar) as DictValue ?? throw TemplateFault.Operation("argument after ** must be a mapping");
            foreach ((TemplateValue key, TemplateValue value) in rest.Entries)
            {
                string name = key is StringValue text ? text.Value : throw TemplateFault.Operation("keywords must be strings");
                keywords.Add(keywords.Exists(k => k.Key == name)
                    ? throw TemplateFault.Operation($"got multiple values for keyword argument '{name}'") : KeyValuePair.Create(name, value));
            }
        }

        if (caller is not null)
        {
            keywords.Add(KeyValuePair.Create<string, TemplateValue>("caller", caller));
        }

        return new CallArguments(positional, keywords);
    }
}

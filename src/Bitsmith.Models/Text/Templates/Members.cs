namespace Bitsmith.Models.Text.Templates;

/// <summary>
/// Attributes and elements: a dot finds what Python's type has before what the value holds, brackets the other way round. What would
/// change a value, and what Python keeps behind underscores, is not handed out.
/// </summary>
internal static class Members
{
    private static readonly string[] ListMethods = ["index", "count", "copy"];
    private static readonly string[] ListChanges = ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"];
    private static readonly string[] DictMethods = ["keys", "values", "items", "get", "copy", "fromkeys"];
    private static readonly string[] DictChanges = ["clear", "pop", "popitem", "setdefault", "update"];
    private static readonly string[] NumberAttributes =
        ["real", "imag", "numerator", "denominator", "conjugate", "bit_length", "bit_count", "to_bytes", "from_bytes", "as_integer_ratio", "is_integer",
            "hex", "fromhex"];

    /// <summary>Attributes that every object of Python has.</summary>
    private static readonly string[] ObjectAttributes =
        ["__class__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__", "__ge__", "__getattribute__", "__getstate__", "__gt__", "__hash__",
            "__init__", "__init_subclass__", "__le__", "__lt__", "__ne__", "__new__", "__reduce__", "__reduce_ex__", "__repr__", "__setattr__",
            "__sizeof__", "__str__", "__subclasshook__"];

    /// <summary><c>target.name</c>.</summary>
    public static TemplateValue Attribute(TemplateValue target, string name) => target is UndefinedValue undefined
        ? throw undefined.Error()
        : Own(target, name) ?? (target as DictValue)?.Find(name) ?? UndefinedValue.Attribute(target, name);

    /// <summary><c>target[index]</c>, where the index is no slice.</summary>
    public static TemplateValue Item(Evaluator evaluator, TemplateValue target, TemplateValue index)
    {
        evaluator.Work.Text(target is StringValue whole ? whole.Value.Length : 0);
        evaluator.Work.Text(index is StringValue key ? key.Value.Length : 0);
        TemplateValue? item = target switch
        {
            UndefinedValue undefined => throw undefined.Error(),
            DictValue dict => index is ListValue { IsTuple: false } or DictValue ? null : dict.Find(index),
            StringValue or ListValue or RangeValue when Operators.WholeOf(index) is System.Numerics.BigInteger number =>
                Operators.Index(number, target.Length!.Value) is int place ? At(target, place) : null,
            _ => null,
        };
        return item
            ?? (index is StringValue name ? Own(target, name.Value) : null)
            ?? (index is StringValue missing ? UndefinedValue.Attribute(target, missing.Value)
                : new UndefinedValue($"{target.ObjectName} has no element {Printing.Repr(evaluator.Work, index)}"));
    }

    /// <summary>What the type itself has under a name; null where it has nothing.</summary>
    public static TemplateValue? Own(TemplateValue target, string name)
    {
        if (ObjectAttributes.Contains(name))
        {
            return UndefinedValue.Unsafe(target, name);
        }

        return target switch
        {
            NamespaceValue space => space.Attributes.TryGetValue(name, out TemplateValue? value) ? value : null,
            StringValue text => TextMethods.Find(text, name),
            DictValue when DictChanges.Contains(name) => UndefinedValue.Unsafe(target, name),
            DictValue dict when DictMethods.Contains(name) => DictMethod(dict, name),
            ListValue { IsTuple: false } when ListChanges.Contains(name) => UndefinedValue.Unsafe(target, name),
            ListValue list when ListMethods.Contains(name) && !(list.IsTuple && name == "copy") => ListMethod(list, name),
            LoopValue loop => loop.Attribute(name),
            CyclerValue cycler => CyclerMember(cycler, name),
            MacroValue macro => MacroMember(macro, name),
            RangeValue range => name switch
            {
                "start" => new IntValue(range.Start),
                "stop" => new IntValue(range.Stop),
                "step" => new IntValue(range.Step),
                _ => null,
            },
            IntValue or BoolValue or FloatValue when NumberAttributes.Contains(name) => NumberMember(target, name),
            _ => null,
        };
    }

    private static TemplateValue At(TemplateValue target, int place) => target switch
    {
        ListValue list => list.Elements[place],
        RangeValue range => range.At(place),
        _ => CharacterAt(((StringValue)target).Value, place),
    };

    private static StringValue CharacterAt(string text, int place)
    {
        if (PythonText.IsUnitPerCodePoint(text))
        {
            return new StringValue(text[place].ToString());
        }

        int[] starts = PythonText.Starts(text);
        return new StringValue(text[starts[place]..starts[place + 1]]);
    }

    private static FunctionValue DictMethod(DictValue dict, string name) => name switch
    {
        "get" => new FunctionValue(name, (evaluator, arguments) =>
        {
            RefuseKeywords(name, arguments);
            TemplateValue?[] bound = arguments.Bind("get", "key", "default");
            evaluator.Work.Text(bound[0] is StringValue key ? key.Value.Length : 0);
            return dict.Find(bound.Required(0, "get", "key")) ?? bound[1] ?? TemplateValue.None;
        }),
        "copy" => new FunctionValue(name, (_, arguments) =>
        {
            arguments.Bind("copy");
            return dict;
        }),
        "fromkeys" => throw TemplateFault.Unsupported("dict.fromkeys is not available to chat templates"),
        _ => new FunctionValue(name, (_, arguments) =>
        {
            arguments.Bind(name);
            return new DictViewValue(dict, name);
        }),
    };

    private static FunctionValue ListMethod(ListValue list, string name) => new(name, (evaluator, arguments) =>
    {
        RefuseKeywords(name, arguments);
        if (name == "copy")
        {
            arguments.Bind(name);
            return list;
        }

        TemplateValue?[] bound = name == "count" ? arguments.Bind(name, "value") : arguments.Bind(name, "value", "start", "stop");
        TemplateValue wanted = bound.Required(0, name, "value");
        int count = 0;
        (int start, int stop) = name == "count" ? (0, list.Elements.Count) : TextMethods.Window(bound[1], bound[2], list.Elements.Count);
        for (int i = start; i < stop; i++)
        {
            if (Operators.SameOrEqual(evaluator.Work, list.Elements[i], wanted))
            {
                if (name == "index")
                {
                    return new IntValue(i);
                }

                count++;
            }
        }

        return name == "count" ? new IntValue(count)
            : throw TemplateFault.Operation($"{Printing.Repr(evaluator.Work, wanted)} is not in {list.TypeName}");
    });

    private static TemplateValue? CyclerMember(CyclerValue cycler, string name) => name switch
    {
        "current" => cycler.Current,
        "next" => new FunctionValue(name, (_, arguments) =>
        {
            arguments.Bind(name);
            return cycler.Next();
        }),
        "reset" => new FunctionValue(name, (_, arguments) =>
        {
            arguments.Bind(name);
            cycler.Reset();
            return TemplateValue.None;
        }),
        _ => null,
    };

    private static TemplateValue? MacroMember(MacroValue macro, string name) => name switch
    {
        "name" => macro.Definition.Name is string known ? new StringValue(known) : TemplateValue.None,
        "arguments" => new ListValue([.. macro.Definition.Parameters.Select(p => new StringValue(p.Name))], isTuple: true),
        "caller" => BoolValue.Of(macro.Definition.UsesCaller),
        "catch_kwargs" => BoolValue.Of(macro.Definition.UsesKeywords),
        "catch_varargs" => BoolValue.Of(macro.Definition.UsesVarargs),
        _ => null,
    };

    private static TemplateValue? NumberMember(TemplateValue number, string name) => (number, name) switch
    {
        (FloatValue value, "real") => value,
        (FloatValue, "imag") => new FloatValue(0),
        (FloatValue value, "is_integer") => new FunctionValue(name, (_, arguments) =>
        {
            arguments.Bind(name);
            return BoolValue.Of(Math.Floor(value.Value) == value.Value && double.IsFinite(value.Value));
        }),
        (FloatValue, "numerator" or "denominator" or "bit_length" or "bit_count" or "to_bytes" or "from_bytes") => null,
        (_, "real" or "numerator") => new IntValue(Operators.WholeOf(number)!.Value),
        (_, "imag") => new IntValue(0),
        (_, "denominator") => new IntValue(1),
        (_, "hex" or "fromhex") => null,
        _ => throw TemplateFault.Unsupported($"{number.TypeName}.{name} is not available to chat templates"),
    };

    internal static void RefuseKeywords(string name, CallArguments arguments)
    {
        if (arguments.Keywords.Count > 0)
        {
            throw TemplateFault.Operation($"{name}() takes no keyword arguments");
        }
    }
}

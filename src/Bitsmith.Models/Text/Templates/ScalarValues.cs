using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

internal sealed class NoneValue : TemplateValue
{
    private NoneValue()
    {
    }

    public static NoneValue Instance { get; } = new();

    internal override string TypeName => "NoneType";

    internal override string ObjectName => "None";

    internal override bool IsTrue => false;
}

internal sealed class BoolValue : TemplateValue
{
    private static readonly BoolValue True = new(true);
    private static readonly BoolValue False = new(false);

    private BoolValue(bool value) => Value = value;

    public bool Value { get; }

    internal override string TypeName => "bool";

    internal override bool IsTrue => Value;

    public static BoolValue Of(bool value) => value ? True : False;
}

internal sealed class IntValue(BigInteger value) : TemplateValue
{
    public BigInteger Value { get; } = value;

    internal override string TypeName => "int";

    internal override bool IsTrue => !Value.IsZero;

    /// <summary>The result of an operation, which may not be larger than Python would print.</summary>
    public static IntValue Of(BigInteger value) => value.GetBitLength() <= PythonNumbers.MaxBits
        ? new IntValue(value) : throw TemplateFault.Limit($"a whole number has more than {PythonNumbers.MaxDigits} digits");
}

internal sealed class FloatValue(double value) : TemplateValue
{
    public double Value { get; } = value;

    internal override string TypeName => "float";

    internal override bool IsTrue => Value != 0;
}

internal sealed class StringValue(string value) : TemplateValue
{
    private int length = -1;

    public static StringValue Empty { get; } = new(string.Empty);

    public string Value { get; } = value;

    internal override string TypeName => "str";

    internal override bool IsTrue => Value.Length > 0;

    /// <summary>Counted once: a loop may ask for it again and again.</summary>
    internal override int? Length => length < 0 ? length = PythonText.Length(Value) : length;

    internal override IEnumerable<TemplateValue> Items => PythonText.Elements(Value).Select(c => new StringValue(c));
}

/// <summary>
/// What a name, attribute or element gives that is not there: empty when printed or looped over, false, and an error in any other use.
/// </summary>
/// <param name="message">What the error says.</param>
/// <param name="isUnsafe">It was there, but the sandbox keeps it.</param>
internal sealed class UndefinedValue(string message, bool isUnsafe = false) : TemplateValue
{
    internal override string TypeName => "Undefined";

    internal override bool IsTrue => false;

    internal override int? Length => 0;

    internal override IEnumerable<TemplateValue> Items => [];

    public static UndefinedValue Name(string name) => new($"{PythonText.Repr(name)} is undefined");

    public static UndefinedValue Attribute(TemplateValue target, string name) =>
        new($"{PythonText.Repr(target.ObjectName)} has no attribute {PythonText.Repr(name)}");

    public static UndefinedValue Unsafe(TemplateValue target, string name) =>
        new($"access to attribute {PythonText.Repr(name)} of {PythonText.Repr(target.TypeName)} object is unsafe.", isUnsafe: true);

    /// <summary>The error of using it.</summary>
    public TemplateFault Error() => new(isUnsafe ? TemplateErrorKind.Security : TemplateErrorKind.Undefined, message);
}

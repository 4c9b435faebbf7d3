using System.Numerics;
using System.Text.Json;

namespace Bitsmith.Models.Text.Templates;

/// <summary>
/// A value of a template: none, a truth value, a number, a text, a list or a dictionary, and what only lives inside a rendering.
/// Immutable, but for the namespaces that templates make for themselves.
/// </summary>
public abstract class TemplateValue
{
    private const int MaxDepth = 200;

    private protected TemplateValue()
    {
    }

    /// <summary>Python's None, JSON's null.</summary>
    public static TemplateValue None => NoneValue.Instance;

    /// <summary>Python's name of the type.</summary>
    internal abstract string TypeName { get; }

    /// <summary>How an undefined value calls what it was looked for in.</summary>
    internal virtual string ObjectName => TypeName + " object";

    /// <summary>Whether a condition takes it for true.</summary>
    internal virtual bool IsTrue => true;

    /// <summary>What len() gives, or null where it has none.</summary>
    internal virtual int? Length => null;

    /// <summary>The elements that a loop over it visits, or null where none can.</summary>
    internal virtual IEnumerable<TemplateValue>? Items => null;

    /// <summary>A text.</summary>
    /// <param name="text">Any text.</param>
    public static TemplateValue From(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new StringValue(text);
    }

    /// <summary>A truth value.</summary>
    /// <param name="value">True or false.</param>
    public static TemplateValue From(bool value) => BoolValue.Of(value);

    /// <summary>A whole number.</summary>
    /// <param name="value">The number.</param>
    public static TemplateValue From(long value) => new IntValue(value);

    /// <summary>A floating point number.</summary>
    /// <param name="value">The number.</param>
    public static TemplateValue From(double value) => new FloatValue(value);

    /// <summary>A list.</summary>
    /// <param name="items">Its elements; copied.</param>
    public static TemplateValue From(IEnumerable<TemplateValue> items) => new ListValue([.. items]);

    /// <summary>A dictionary; the order of the entries is kept, a later entry replaces the value of an earlier one with the same key.</summary>
    /// <param name="entries">Its entries; copied.</param>
    public static TemplateValue From(IEnumerable<KeyValuePair<string, TemplateValue>> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        DictValue dict = new();
        foreach ((string key, TemplateValue value) in entries)
        {
            dict.Set(new StringValue(key), value);
        }

        return dict;
    }

    /// <summary>
    /// A JSON value as Python's json reads it: a number with a point or an exponent is floating point, others are whole and of any size
    /// up to 4,300 digits.
    /// </summary>
    /// <param name="element">The JSON value.</param>
    /// <exception cref="ArgumentException">
    /// It is nested more than 200 deep, holds half a surrogate pair or a whole number of more than 4,300 digits.
    /// </exception>
    public static TemplateValue From(JsonElement element) => From(element, MaxDepth);

    private static TemplateValue From(JsonElement element, int depth)
    {
        if (depth == 0)
        {
            throw new ArgumentException($"JSON is nested more than {MaxDepth} deep, at most {MaxDepth} is expected.", nameof(element));
        }

        switch (element.ValueKind)
        {
            case JsonValueKind.True or JsonValueKind.False:
                return BoolValue.Of(element.ValueKind == JsonValueKind.True);
            case JsonValueKind.String:
                return new StringValue(TextOf(element.GetString, nameof(element)));
            case JsonValueKind.Number:
                return NumberOf(element);
            case JsonValueKind.Array:
                return new ListValue([.. element.EnumerateArray().Select(item => From(item, depth - 1))]);
            case JsonValueKind.Object:
                DictValue dict = new();
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    dict.Set(new StringValue(TextOf(() => property.Name, nameof(element))), From(property.Value, depth - 1));
                }

                return dict;
            default:
                return None;
        }
    }

    private static string TextOf(Func<string?> read, string parameter)
    {
        try
        {
            return read()!;
        }
        catch (InvalidOperationException problem)
        {
            throw new ArgumentException($"A JSON string is not valid Unicode: {problem.Message}", parameter, problem);
        }
    }

    private static TemplateValue NumberOf(JsonElement element)
    {
        string text = element.GetRawText();
        if (text.AsSpan().ContainsAny('.', 'e', 'E'))
        {
            return new FloatValue(PythonNumbers.ParseFloat(text) ?? throw new ArgumentException($"JSON holds the number {text}.", nameof(element)));
        }

        BigInteger? value = PythonNumbers.ParseInteger(text, 10);
        return value is null
            ? throw new ArgumentException($"JSON holds a whole number of {text.Length} digits, at most {PythonNumbers.MaxDigits} are expected.", nameof(element))
            : new IntValue(value.Value);
    }
}

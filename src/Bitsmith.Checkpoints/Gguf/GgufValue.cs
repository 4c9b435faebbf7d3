using System.Collections;
using System.Globalization;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>A value of GGUF metadata with its type. Equal values have the same type and the same bits.</summary>
public sealed class GgufValue : IEquatable<GgufValue>
{
    private static readonly Dictionary<Type, GgufValueType> Types = new()
    {
        [typeof(byte)] = GgufValueType.UInt8,
        [typeof(sbyte)] = GgufValueType.Int8,
        [typeof(ushort)] = GgufValueType.UInt16,
        [typeof(short)] = GgufValueType.Int16,
        [typeof(uint)] = GgufValueType.UInt32,
        [typeof(int)] = GgufValueType.Int32,
        [typeof(float)] = GgufValueType.Float32,
        [typeof(bool)] = GgufValueType.Bool,
        [typeof(string)] = GgufValueType.String,
        [typeof(GgufValue)] = GgufValueType.Array,
        [typeof(ulong)] = GgufValueType.UInt64,
        [typeof(long)] = GgufValueType.Int64,
        [typeof(double)] = GgufValueType.Float64,
    };

    /// <summary>Wraps a value.</summary>
    /// <param name="content">
    /// A byte, sbyte, ushort, short, uint, int, float, bool, string, ulong, long or double, a one-dimensional array of one of these, or an array of
    /// <see cref="GgufValue"/> that are arrays themselves.
    /// </param>
    /// <exception cref="ArgumentException">It is something else.</exception>
    public GgufValue(object content)
    {
        ArgumentNullException.ThrowIfNull(content);
        Content = content;
        if (content is Array items)
        {
            Type = GgufValueType.Array;
            ElementType = items.Rank == 1 && Types.TryGetValue(items.GetType().GetElementType()!, out GgufValueType type)
                ? type
                : throw new ArgumentException($"{content.GetType()} is no array that GGUF metadata can hold.", nameof(content));
            if (items is GgufValue[] inner && inner.Any(item => item.Type != GgufValueType.Array))
            {
                throw new ArgumentException("An array of GgufValue holds arrays; plain values stand in an array of their own type.", nameof(content));
            }
        }
        else
        {
            Type = content is not GgufValue && Types.TryGetValue(content.GetType(), out GgufValueType type)
                ? type
                : throw new ArgumentException($"{content.GetType()} is no value that GGUF metadata can hold.", nameof(content));
        }
    }

    /// <summary>The type.</summary>
    public GgufValueType Type { get; }

    /// <summary>The type of an array's elements; null for a single value.</summary>
    public GgufValueType? ElementType { get; }

    /// <summary>The value as the .NET type that corresponds, for example uint or string[].</summary>
    public object Content { get; }

    /// <summary>Number of elements of an array; null for a single value.</summary>
    public int? Count => (Content as Array)?.Length;

    /// <summary>For example <c>UInt32</c> or <c>String[320]</c>.</summary>
    public string Describe() => ElementType is { } element ? $"{element}[{Count}]" : Type.ToString();

    /// <inheritdoc/>
    public bool Equals(GgufValue? other) => other is not null && other.Type == Type && other.ElementType == ElementType
        && (Content is Array items ? items.Cast<object>().Select(Bits).SequenceEqual(((Array)other.Content).Cast<object>().Select(Bits)) : Bits(Content).Equals(Bits(other.Content)));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as GgufValue);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Type, ElementType, Count, Content is Array ? 0 : Bits(Content));

    /// <summary>The value as text; arrays by their first elements.</summary>
    public override string ToString() => Content switch
    {
        string text => $"'{text}'",
        IList items => $"[{string.Join(", ", items.Cast<object>().Take(6).Select(item => item is GgufValue inner ? inner.ToString() : new GgufValue(item).ToString()))}{(items.Count > 6 ? ", …" : string.Empty)}]",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => Content.ToString()!,
    };

    // NaN payloads and the sign of zero count.
    private static object Bits(object content) => content switch
    {
        float value => BitConverter.SingleToUInt32Bits(value),
        double value => BitConverter.DoubleToUInt64Bits(value),
        _ => content,
    };
}

using System.Collections;
using System.Globalization;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>The key/value pairs of a GGUF file in their order, with typed access.</summary>
/// <param name="path">Names the file in errors; for metadata to be written, what it is for.</param>
public sealed class GgufMetadata(string path) : IEnumerable<KeyValuePair<string, GgufValue>>
{
    private readonly OrderedDictionary<string, GgufValue> entries = new(StringComparer.Ordinal);

    /// <summary>Number of pairs.</summary>
    public int Count => entries.Count;

    /// <summary>Adds a pair at the end.</summary>
    /// <param name="key">The key.</param>
    /// <param name="content">What <see cref="GgufValue"/> can hold, or one.</param>
    /// <exception cref="ArgumentException">The key exists, or the content is nothing that GGUF holds.</exception>
    public void Add(string key, object content) => entries.Add(key, content as GgufValue ?? new GgufValue(content));

    /// <summary>The value of a key, or null.</summary>
    public GgufValue? Find(string key) => entries.GetValueOrDefault(key);

    /// <summary>A text.</summary>
    /// <exception cref="CheckpointException">The key is missing, or is no text.</exception>
    public string Text(string key) => Find(key) switch
    {
        { Content: string text } => text,
        null => throw Missing(key, "a text"),
        { } other => throw Wrong(key, other, "a text"),
    };

    /// <summary>A whole number, whatever integer type it is stored in.</summary>
    /// <exception cref="CheckpointException">The key is missing without a fallback, is no whole number, or does not fit.</exception>
    public long Integer(string key, long? fallback = null) => Find(key) switch
    {
        { Content: ulong large } value => large <= long.MaxValue ? (long)large : throw Wrong(key, value, "a number of at most 63 bits"),
        { Content: byte or sbyte or ushort or short or uint or int or long } value => Convert.ToInt64(value.Content, CultureInfo.InvariantCulture),
        null => fallback ?? throw Missing(key, "a whole number"),
        { } other => throw Wrong(key, other, "a whole number"),
    };

    /// <summary>A number, whatever type it is stored in.</summary>
    /// <exception cref="CheckpointException">The key is missing without a fallback, or is no finite number.</exception>
    public double Number(string key, double? fallback = null) => Find(key) switch
    {
        { Content: float value } when float.IsFinite(value) => value,
        { Content: double value } when double.IsFinite(value) => value,
        { Content: byte or sbyte or ushort or short or uint or int or long or ulong } value => Convert.ToDouble(value.Content, CultureInfo.InvariantCulture),
        null => fallback ?? throw Missing(key, "a number"),
        { } other => throw Wrong(key, other, "a finite number"),
    };

    /// <summary>A truth value.</summary>
    /// <exception cref="CheckpointException">It is something else.</exception>
    public bool Flag(string key, bool fallback) => Find(key) switch
    {
        { Content: bool value } => value,
        null => fallback,
        { } other => throw Wrong(key, other, "a truth value"),
    };

    /// <summary>An array.</summary>
    /// <typeparam name="T">The .NET type of its elements, as <see cref="GgufValue"/> holds them.</typeparam>
    /// <param name="key">The key.</param>
    /// <param name="count">Elements that it must have; null for any number.</param>
    /// <exception cref="CheckpointException">The key is missing, holds other elements, or another number of them.</exception>
    public IReadOnlyList<T> Items<T>(string key, int? count = null)
    {
        string expected = $"an array of {(count is null ? string.Empty : $"{count} ")}{typeof(T).Name}";
        return Find(key) switch
        {
            { Content: T[] items } when count is null || items.Length == count => items,
            null => throw Missing(key, expected),
            { } other => throw Wrong(key, other, expected),
        };
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, GgufValue>> GetEnumerator() => entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private CheckpointException Missing(string key, string expected) => new(path, $"has no key '{key}'; expected {expected}.");

    private CheckpointException Wrong(string key, GgufValue value, string expected) => new(path, $"key '{key}' is {value.Describe()} {value}; expected {expected}.");
}

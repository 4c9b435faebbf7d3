namespace Bitsmith.Models.Layers;

/// <summary>
/// Keys and values of the tokens seen so far, for each layer: binary32, [key/value head][position][head width]. Grows by doubling up to its limit.
/// </summary>
public sealed class KvCache
{
    private readonly float[][] keys, values;
    private readonly int kvHeads, headDim;
    private int room;

    /// <summary>Creates an empty cache.</summary>
    /// <param name="layers">Decoder layers.</param>
    /// <param name="kvHeads">Key/value heads.</param>
    /// <param name="headDim">Head width.</param>
    /// <param name="capacity">Most tokens.</param>
    public KvCache(int layers, int kvHeads, int headDim, int capacity)
    {
        (keys, values) = (new float[layers][], new float[layers][]);
        (this.kvHeads, this.headDim, Capacity) = (kvHeads, headDim, capacity);
        for (int layer = 0; layer < layers; layer++)
        {
            (keys[layer], values[layer]) = ([], []);
        }
    }

    /// <summary>Most tokens.</summary>
    public int Capacity { get; }

    /// <summary>Tokens whose keys and values are complete in every layer.</summary>
    public int Length { get; private set; }

    /// <summary>Makes room for new tokens in all layers.</summary>
    /// <exception cref="InvalidOperationException">They do not fit.</exception>
    public void Reserve(int tokens)
    {
        int needed = Length + tokens;
        if (needed > Capacity)
        {
            throw new InvalidOperationException($"{needed} tokens do not fit into a context of {Capacity}.");
        }

        if (needed <= room)
        {
            return;
        }

        int larger = Math.Min(Capacity, Math.Max(needed, room * 2));
        for (int layer = 0; layer < keys.Length; layer++)
        {
            (keys[layer], values[layer]) = (Grow(keys[layer], larger), Grow(values[layer], larger));
        }

        room = larger;
    }

    /// <summary>The tokens reserved last are complete.</summary>
    public void Advance(int tokens) => Length += tokens;

    /// <summary>Forgets tokens from a position on.</summary>
    public void Truncate(int length) => Length = Math.Min(Length, length);

    internal Span<float> Key(int layer, int head, int position) => Slot(keys[layer], head, position);

    internal Span<float> Value(int layer, int head, int position) => Slot(values[layer], head, position);

    private Span<float> Slot(float[] store, int head, int position) => store.AsSpan(((head * room) + position) * headDim, headDim);

    private float[] Grow(float[] store, int larger)
    {
        float[] grown = new float[kvHeads * larger * headDim];
        for (int head = 0; head < kvHeads && room > 0; head++)
        {
            store.AsSpan(head * room * headDim, Length * headDim).CopyTo(grown.AsSpan(head * larger * headDim));
        }

        return grown;
    }
}

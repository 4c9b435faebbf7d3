using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Models.Layers;

/// <summary>
/// Keys and values of the tokens seen so far, for each layer and key/value head, laid out as <see cref="KeyValueLayout"/> says in aligned native memory. Grows by doubling up to its limit;
/// the room is taken when it is first needed. One sequence, one thread at a time; whoever creates a cache disposes it.
/// </summary>
public sealed unsafe class KvCache : IDisposable
{
    // One for each layer and head, heads of a layer together; each has at least the room.
    private readonly AlignedMemory[] keys, values;
    private readonly int kvHeads, headDim, first;
    private int room;
    private bool disposed;

    /// <summary>Creates an empty cache.</summary>
    /// <param name="layers">Decoder layers.</param>
    /// <param name="kvHeads">Key/value heads.</param>
    /// <param name="headDim">Head width.</param>
    /// <param name="capacity">Most tokens.</param>
    /// <param name="type">
    /// What keys and values are stored as, rounded to nearest even: F32, BF16, F16, or F8_E4M3 without a scale and saturating at 448, as vLLM's fp8 cache with scale 1.
    /// </param>
    /// <param name="first">The first of the layers.</param>
    /// <exception cref="ArgumentException">The type is none of the four.</exception>
    public KvCache(int layers, int kvHeads, int headDim, int capacity, ElementType type = ElementType.F32, int first = 0)
    {
        KeyValueLayout.CheckType(type);
        (this.kvHeads, this.headDim, Capacity, Type, this.first) = (kvHeads, headDim, capacity, type, first);
        (keys, values) = (new AlignedMemory[layers * kvHeads], new AlignedMemory[layers * kvHeads]);
        for (int i = 0; i < keys.Length; i++)
        {
            (keys[i], values[i]) = (new AlignedMemory(), new AlignedMemory());
        }
    }

    /// <summary>Most tokens.</summary>
    public int Capacity { get; }

    /// <summary>What keys and values are stored as.</summary>
    public ElementType Type { get; }

    /// <summary>Tokens whose keys and values are complete in every layer.</summary>
    public int Length { get; private set; }

    /// <summary>Bytes of memory taken.</summary>
    public long Bytes => keys.Length * (KeyValueLayout.KeyBytes(Type, headDim, room) + KeyValueLayout.ValueBytes(Type, headDim, room));

    /// <summary>Makes room for new tokens in all layers.</summary>
    /// <exception cref="InvalidOperationException">They do not fit.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public void Reserve(int tokens)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        int needed = Length + tokens;
        if (needed > Capacity)
        {
            throw new InvalidOperationException($"{needed} tokens do not fit into a context of {Capacity}.");
        }

        if (needed <= room)
        {
            return;
        }

        int larger = (int)Math.Min(Capacity, Math.Max((long)needed, room * 2L));
        for (int i = 0; i < keys.Length; i++)
        {
            Grow(ref keys[i], KeyValueLayout.KeyBytes(Type, headDim, larger), KeyValueLayout.KeyBytes(Type, headDim, Length));
            Grow(ref values[i], KeyValueLayout.ValueBytes(Type, headDim, larger), KeyValueLayout.ValueBytes(Type, headDim, Length));
        }

        room = larger;
    }

    /// <summary>The tokens reserved last are complete.</summary>
    public void Advance(int tokens) => Length += tokens;

    /// <summary>Forgets tokens from a position on; the room stays.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = Math.Min(Length, length);
    }

    /// <summary>Becomes the sequence of another cache; both go on from there on their own.</summary>
    /// <param name="other">A cache of the same model and type.</param>
    /// <exception cref="ArgumentException">The other has another shape or type.</exception>
    /// <exception cref="InvalidOperationException">Its tokens do not fit.</exception>
    public void CopyFrom(KvCache other)
    {
        ArgumentNullException.ThrowIfNull(other);
        ObjectDisposedException.ThrowIf(other.disposed, other);
        if ((keys.Length, kvHeads, headDim, Type, first) != (other.keys.Length, other.kvHeads, other.headDim, other.Type, other.first))
        {
            throw new ArgumentException("The cache is of another shape or type.", nameof(other));
        }

        Length = 0;
        Reserve(other.Length);
        long keyBytes = KeyValueLayout.KeyBytes(Type, headDim, other.Length), valueBytes = KeyValueLayout.ValueBytes(Type, headDim, other.Length);
        for (int i = 0; i < keys.Length && other.Length > 0; i++)
        {
            Buffer.MemoryCopy(other.keys[i].Start, keys[i].Start, keyBytes, keyBytes);
            Buffer.MemoryCopy(other.values[i].Start, values[i].Start, valueBytes, valueBytes);
        }

        Length = other.Length;
    }

    /// <summary>Returns the memory.</summary>
    public void Dispose()
    {
        (disposed, room) = (true, 0);
        foreach (AlignedMemory memory in keys.Concat(values))
        {
            memory.Dispose();
        }
    }

    /// <summary>
    /// Stores the key and value of a position that was reserved. Heads, and whole groups of <see cref="KeyValueLayout.Group"/> positions, may be stored at once; those of a group in
    /// ascending order.
    /// </summary>
    internal void Store(int layer, int head, int position, ReadOnlySpan<float> key, ReadOnlySpan<float> value, InstructionSet instructionSet)
    {
        int index = IndexOf(layer, head);
        KeyValueLayout.StoreKey(Type, KeysAt(index), position, key, instructionSet);
        KeyValueLayout.StoreValue(Type, ValuesAt(index), position, value, instructionSet);
    }

    /// <summary>The keys of a head, valid while the cache is neither grown, disposed nor forgotten.</summary>
    internal ReadOnlySpan<byte> Keys(int layer, int head) => KeysAt(IndexOf(layer, head));

    /// <inheritdoc cref="Keys"/>
    internal ReadOnlySpan<byte> Values(int layer, int head) => ValuesAt(IndexOf(layer, head));

    private int IndexOf(int layer, int head) => ((layer - first) * kvHeads) + head;

    private Span<byte> KeysAt(int index) => new(keys[index].Start, checked((int)KeyValueLayout.KeyBytes(Type, headDim, room)));

    private Span<byte> ValuesAt(int index) => new(values[index].Start, checked((int)KeyValueLayout.ValueBytes(Type, headDim, room)));

    private static void Grow(ref AlignedMemory memory, long bytes, long used)
    {
        AlignedMemory grown = new();
        Buffer.MemoryCopy(memory.Start, grown.Require(bytes), bytes, used);
        memory.Dispose();
        memory = grown;
    }
}

using System.Numerics;
using System.Runtime.InteropServices;

namespace Bitsmith.Models.Text;

/// <summary>
/// Byte sequences with an id each: a hash table without chains, all keys in one block, so that a look-up from a slice of UTF-8 allocates
/// nothing and touches two cache lines. Filled once, then only read.
/// </summary>
internal sealed class TokenizerByteTable
{
    private const ulong Multiplier = 0x9E3779B97F4A7C15;

    private readonly byte[] keys;
    private readonly Slot[] slots;
    private readonly int shift;

    /// <summary>Builds the table; the keys must differ.</summary>
    public TokenizerByteTable(IReadOnlyCollection<KeyValuePair<byte[], int>> entries)
    {
        // Half full at most, so that a look-up that fails ends soon.
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, entries.Count * 2));
        shift = 64 - BitOperations.Log2((uint)size);
        slots = new Slot[size];
        keys = new byte[entries.Sum(entry => entry.Key.Length)];
        int offset = 0;
        foreach ((byte[] key, int id) in entries)
        {
            key.CopyTo(keys, offset);
            ulong hash = Hash(key);
            int at = (int)(hash >> shift);
            while (slots[at].Length != 0)
            {
                at = (at + 1) & (size - 1);
            }

            slots[at] = new Slot { Tag = (uint)hash, Offset = offset, Length = key.Length, Id = id };
            offset += key.Length;
            LongestKey = Math.Max(LongestKey, key.Length);
        }
    }

    /// <summary>Bytes of the longest key.</summary>
    public int LongestKey { get; }

    /// <summary>The id of a key; -1 where the table lacks it.</summary>
    public int Find(ReadOnlySpan<byte> key)
    {
        if (key.IsEmpty || key.Length > LongestKey)
        {
            return -1;
        }

        ulong hash = Hash(key);
        Slot[] all = slots;
        int at = (int)(hash >> shift);
        while (true)
        {
            ref readonly Slot slot = ref all[at];
            if (slot.Length == 0)
            {
                return -1;
            }

            if (slot.Tag == (uint)hash && slot.Length == key.Length && key.SequenceEqual(keys.AsSpan(slot.Offset, slot.Length)))
            {
                return slot.Id;
            }

            at = (at + 1) & (all.Length - 1);
        }
    }

    // Eight bytes a step, multiplied and folded; the length tells apart keys that end in zeros.
    private static ulong Hash(ReadOnlySpan<byte> key)
    {
        ulong hash = (ulong)key.Length * Multiplier;
        while (key.Length >= sizeof(ulong))
        {
            hash = Mix(hash ^ MemoryMarshal.Read<ulong>(key));
            key = key[sizeof(ulong)..];
        }

        ulong rest = 0;
        if (key.Length >= sizeof(uint))
        {
            rest = MemoryMarshal.Read<uint>(key) | ((ulong)MemoryMarshal.Read<uint>(key[^sizeof(uint)..]) << 32);
        }
        else if (key.Length > 0)
        {
            rest = key[0] | ((ulong)key[key.Length >> 1] << 8) | ((ulong)key[^1] << 16);
        }

        return Mix(hash ^ rest);
    }

    private static ulong Mix(ulong value)
    {
        ulong high = Math.BigMul(value ^ 0x2D358DCCAA6C78A5, Multiplier, out ulong low);
        return (high ^ low) * Multiplier;
    }

    private struct Slot
    {
        public uint Tag;
        public int Offset;
        public int Length;
        public int Id;
    }
}

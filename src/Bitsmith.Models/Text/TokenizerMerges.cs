using System.Numerics;

namespace Bitsmith.Models.Text;

/// <summary>
/// The merge list as a hash table: for a pair of ids, how early it merges (0 first) and the id it becomes. Filled once, then only read.
/// </summary>
internal sealed class TokenizerMerges
{
    /// <summary>The answer for a pair that does not merge: later than every rank.</summary>
    public const ulong None = ulong.MaxValue;

    private const ulong Multiplier = 0x9E3779B97F4A7C15;

    // No pair has this key: ids are not negative.
    private const ulong Vacant = ulong.MaxValue;

    private readonly Slot[] slots;
    private readonly int shift;

    /// <summary>Builds the table; of equal pairs the later rank holds, as in the library.</summary>
    /// <param name="merges">Left id, right id and merged id; the place in the list is the rank.</param>
    public TokenizerMerges(IReadOnlyList<(int Left, int Right, int Merged)> merges)
    {
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, merges.Count * 2));
        shift = 64 - BitOperations.Log2((uint)size);
        slots = new Slot[size];
        Array.Fill(slots, new Slot { Pair = Vacant });
        for (int rank = 0; rank < merges.Count; rank++)
        {
            (int left, int right, int merged) = merges[rank];
            ulong pair = Pair(left, right);
            int at = (int)((pair * Multiplier) >> shift);
            while (slots[at].Pair != Vacant && slots[at].Pair != pair)
            {
                at = (at + 1) & (size - 1);
            }

            slots[at] = new Slot { Pair = pair, Merge = ((ulong)(uint)rank << 32) | (uint)merged };
        }
    }

    /// <summary>Rank (upper half) and merged id (lower half) of a pair; <see cref="None"/> where it does not merge.</summary>
    public ulong Find(int left, int right)
    {
        ulong pair = Pair(left, right);
        Slot[] all = slots;
        int at = (int)((pair * Multiplier) >> shift);
        while (true)
        {
            ref readonly Slot slot = ref all[at];
            if (slot.Pair == pair)
            {
                return slot.Merge;
            }

            if (slot.Pair == Vacant)
            {
                return None;
            }

            at = (at + 1) & (all.Length - 1);
        }
    }

    private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    private struct Slot
    {
        public ulong Pair;
        public ulong Merge;
    }
}

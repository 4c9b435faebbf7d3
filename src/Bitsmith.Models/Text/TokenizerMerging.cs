using System.Buffers;
using System.Runtime.CompilerServices;

namespace Bitsmith.Models.Text;

/// <summary>
/// Byte pair encoding of one piece: of all neighbours that merge, the pair of lowest rank merges first, the leftmost of equal ones, until
/// none is left.
/// </summary>
internal static class TokenizerMerging
{
    // Up to here looking through all pairs again and again is quicker than keeping them ordered.
    private const int ShortPiece = 48;

    /// <summary>Encodes a piece and appends its ids.</summary>
    /// <param name="piece">UTF-8, not empty.</param>
    /// <param name="byteIds">By byte: the id of the token of that single byte.</param>
    /// <param name="merges">The merge list.</param>
    /// <param name="ids">What the ids are appended to.</param>
    public static void Append(ReadOnlySpan<byte> piece, ReadOnlySpan<int> byteIds, TokenizerMerges merges, ref TokenizerIds ids)
    {
        if (piece.Length <= ShortPiece)
        {
            AppendShort(piece, byteIds, merges, ref ids);
        }
        else
        {
            AppendLong(piece, byteIds, merges, ref ids);
        }
    }

    // The two lists are written before they are read, so that clearing them would be wasted.
    [SkipLocalsInit]
    private static void AppendShort(ReadOnlySpan<byte> piece, ReadOnlySpan<int> byteIds, TokenizerMerges merges, ref TokenizerIds ids)
    {
        Span<int> symbols = stackalloc int[ShortPiece];
        Span<ulong> pairs = stackalloc ulong[ShortPiece];
        int count = piece.Length;
        for (int i = 0; i < count; i++)
        {
            symbols[i] = byteIds[piece[i]];
            if (i > 0)
            {
                pairs[i - 1] = merges.Find(symbols[i - 1], symbols[i]);
            }
        }

        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i < count - 1; i++)
            {
                // Equal ranks are the same pair, so that the smaller value is the lower rank and the first of equal ones stays.
                if (pairs[i] < pairs[best])
                {
                    best = i;
                }
            }

            if (pairs[best] == TokenizerMerges.None)
            {
                break;
            }

            symbols[best] = (int)(uint)pairs[best];
            count--;
            symbols[(best + 2)..(count + 1)].CopyTo(symbols[(best + 1)..]);
            if (best + 1 < count)
            {
                pairs[(best + 2)..count].CopyTo(pairs[(best + 1)..]);
                pairs[best] = merges.Find(symbols[best], symbols[best + 1]);
            }

            if (best > 0)
            {
                pairs[best - 1] = merges.Find(symbols[best - 1], symbols[best]);
            }
        }

        ids.Append(symbols[..count]);
    }

    // A linked list of symbols and a heap of pairs, so that a piece of n bytes takes n log n steps. A pair that changes leaves its old
    // entry in the heap; it is recognized when it comes up, as its rank is no longer that of its place.
    private static void AppendLong(ReadOnlySpan<byte> piece, ReadOnlySpan<int> byteIds, TokenizerMerges merges, ref TokenizerIds ids)
    {
        int length = piece.Length;
        Link[] links = ArrayPool<Link>.Shared.Rent(length);
        PriorityHeap heap = new(length);
        try
        {
            for (int i = 0; i < length; i++)
            {
                links[i] = new Link { Symbol = byteIds[piece[i]], Previous = i - 1, Next = i + 1, Pair = TokenizerMerges.None };
                if (i > 0)
                {
                    Weigh(links, i - 1, length, merges, ref heap);
                }
            }

            while (heap.TryTake(out uint rank, out int at))
            {
                ref Link left = ref links[at];
                if (left.Pair == TokenizerMerges.None || (uint)(left.Pair >> 32) != rank)
                {
                    continue;
                }

                ref Link right = ref links[left.Next];
                left.Symbol = (int)(uint)left.Pair;
                left.Next = right.Next;
                right.Pair = TokenizerMerges.None;
                if (left.Next < length)
                {
                    links[left.Next].Previous = at;
                }

                Weigh(links, at, length, merges, ref heap);
                if (left.Previous >= 0)
                {
                    Weigh(links, left.Previous, length, merges, ref heap);
                }
            }

            for (int i = 0; i < length; i = links[i].Next)
            {
                ids.Append(links[i].Symbol);
            }
        }
        finally
        {
            heap.Return();
            ArrayPool<Link>.Shared.Return(links);
        }
    }

    private static void Weigh(Link[] links, int at, int length, TokenizerMerges merges, ref PriorityHeap heap)
    {
        ref Link link = ref links[at];
        link.Pair = link.Next < length ? merges.Find(link.Symbol, links[link.Next].Symbol) : TokenizerMerges.None;
        if (link.Pair != TokenizerMerges.None)
        {
            heap.Add((uint)(link.Pair >> 32), at);
        }
    }

    private struct Link
    {
        public int Symbol;
        public int Previous;
        public int Next;
        public ulong Pair;
    }

    // A binary heap of (rank, place), the smallest first, in an array of the pool.
    private struct PriorityHeap(int capacity)
    {
        private ulong[] items = ArrayPool<ulong>.Shared.Rent(capacity);
        private int count;

        public void Add(uint rank, int at)
        {
            if (count == items.Length)
            {
                ulong[] larger = ArrayPool<ulong>.Shared.Rent(count * 2);
                items.AsSpan(0, count).CopyTo(larger);
                ArrayPool<ulong>.Shared.Return(items);
                items = larger;
            }

            ulong item = ((ulong)rank << 32) | (uint)at;
            int place = count++;
            while (place > 0)
            {
                int parent = (place - 1) / 2;
                if (items[parent] <= item)
                {
                    break;
                }

                items[place] = items[parent];
                place = parent;
            }

            items[place] = item;
        }

        public bool TryTake(out uint rank, out int at)
        {
            if (count == 0)
            {
                (rank, at) = (0, 0);
                return false;
            }

            ulong first = items[0];
            (rank, at) = ((uint)(first >> 32), (int)(uint)first);
            ulong last = items[--count];
            int place = 0;
            while (true)
            {
                int child = (place * 2) + 1;
                if (child >= count)
                {
                    break;
                }

                if (child + 1 < count && items[child + 1] < items[child])
                {
                    child++;
                }

                if (items[child] >= last)
                {
                    break;
                }

                items[place] = items[child];
                place = child;
            }

            items[place] = last;
            return true;
        }

        public readonly void Return() => ArrayPool<ulong>.Shared.Return(items);
    }
}

using System.Buffers;

namespace Bitsmith.Models.Text;

/// <summary>A growing list of ids in an array of the pool, so that encoding allocates only its result.</summary>
internal struct TokenizerIds(int capacity)
{
    private int[] items = ArrayPool<int>.Shared.Rent(Math.Max(16, capacity));
    private int count;

    /// <summary>The ids so far.</summary>
    public readonly ReadOnlySpan<int> Items => items.AsSpan(0, count);

    public void Append(int id)
    {
        if (count == items.Length)
        {
            Grow(1);
        }

        items[count++] = id;
    }

    public void Append(ReadOnlySpan<int> ids)
    {
        if (ids.Length > items.Length - count)
        {
            Grow(ids.Length);
        }

        ids.CopyTo(items.AsSpan(count));
        count += ids.Length;
    }

    public readonly void Return() => ArrayPool<int>.Shared.Return(items);

    private void Grow(int more)
    {
        int[] larger = ArrayPool<int>.Shared.Rent(Math.Max(checked(count + more), (int)Math.Min(Array.MaxLength, (long)items.Length * 2)));
        items.AsSpan(0, count).CopyTo(larger);
        ArrayPool<int>.Shared.Return(items);
        items = larger;
    }
}

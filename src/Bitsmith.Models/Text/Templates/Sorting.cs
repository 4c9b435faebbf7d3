namespace Bitsmith.Models.Text.Templates;

/// <summary>Python's sorted: stable, by "less than" alone.</summary>
internal static class Sorting
{
    public static List<T> Sort<T>(Work work, IEnumerable<T> items, Func<T, TemplateValue> keyOf, bool reverse)
    {
        (T Item, TemplateValue Key)[] sorted = [.. items.Select(item => (item, keyOf(item)))];
        (T Item, TemplateValue Key)[] other = new (T, TemplateValue)[sorted.Length];

        // Merging runs of twice the length each time; the framework's sorts are not stable or wrap what a comparison throws.
        for (int width = 1; width < sorted.Length; width *= 2)
        {
            for (int start = 0; start < sorted.Length; start += 2 * width)
            {
                int middle = Math.Min(start + width, sorted.Length), end = Math.Min(start + (2 * width), sorted.Length);
                int left = start, right = middle;
                for (int i = start; i < end; i++)
                {
                    bool takeRight = left == middle || (right < end && IsBefore(work, sorted[right].Key, sorted[left].Key, reverse));
                    other[i] = takeRight ? sorted[right++] : sorted[left++];
                }
            }

            (sorted, other) = (other, sorted);
        }

        return [.. sorted.Select(s => s.Item)];
    }

    private static bool IsBefore(Work work, TemplateValue first, TemplateValue second, bool reverse) =>
        reverse ? Operators.IsOrdered(work, "<", second, first) : Operators.IsOrdered(work, "<", first, second);
}

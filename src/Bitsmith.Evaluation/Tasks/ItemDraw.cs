namespace Bitsmith.Evaluation.Tasks;

/// <summary>How items are drawn from a file, as llama-perplexity does for that kind of file.</summary>
public enum ItemDraw
{
    /// <summary>Of HellaSwag's text files: one of those left after the other, even where all are taken.</summary>
    Shuffled,

    /// <summary>Of its other files: all in order, or some, each drawn from those left, in whose place the last one moves.</summary>
    Some,
}

/// <summary>Draws items.</summary>
public static class ItemDraws
{
    /// <summary>The seed of llama-perplexity.</summary>
    public const uint DefaultSeed = 1;

    /// <summary>Numbers of the items drawn, in the order in which they are scored.</summary>
    /// <param name="draw">How.</param>
    /// <param name="count">Items that there are.</param>
    /// <param name="most">Items wanted.</param>
    /// <param name="seed">The seed; with <see cref="DefaultSeed"/> those that llama-perplexity draws.</param>
    public static int[] Draw(this ItemDraw draw, int count, int most, uint seed = DefaultSeed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfNegative(most);
        MersenneTwister random = new(seed);
        if (draw == ItemDraw.Some && most >= count)
        {
            return [.. Enumerable.Range(0, count)];
        }

        List<int> left = [.. Enumerable.Range(0, count)];
        int[] drawn = new int[Math.Min(most, count)];
        for (int i = 0; i < drawn.Length; i++)
        {
            if (draw == ItemDraw.Shuffled)
            {
                int place = (int)random.Below((uint)left.Count);
                drawn[i] = left[place];
                left.RemoveAt(place);
            }
            else
            {
                // In binary32, as there. One draw in 2^25 rounds up to the number of those left, where llama-perplexity reads outside of them; here it is the last one.
                int place = Math.Min((int)(1 / 4294967296f * random.Next() * left.Count), left.Count - 1);
                drawn[i] = left[place];
                left[place] = left[^1];
                left.RemoveAt(left.Count - 1);
            }
        }

        return drawn;
    }
}

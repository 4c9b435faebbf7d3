using System.Numerics;
using System.Runtime.CompilerServices;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Weights that are quantized eight at a time to points of a grid of magnitudes, with signs of their own. Where the format stores seven sign bits for eight
/// weights, the number of minus signs is even: if it is odd among the weights, one of them takes the wrong sign, and point and weight are chosen together so
/// that the error is least.
/// </summary>
internal readonly ref struct MagnitudeGroups(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize, Grid grid, bool evenSigns) : IScaledGroups
{
    /// <summary>Weights that share signs and are assigned together.</summary>
    public const int Run = 8;

    // Where the weight of largest magnitude may fall, in units of the top level: above 1 it is clipped.
    private static readonly float[] Reaches = [0.95f, 1.05f, 1.15f, 1.3f, 1.5f, 1.75f, 2.1f, 2.6f];

    private const float Beyond = 1e6f;

    private readonly ReadOnlySpan<float> values = values;
    private readonly ReadOnlySpan<float> weights = weights;

    public int Groups => values.Length / groupSize;

    public GroupFit Start(int group)
    {
        float largest = 0;
        foreach (float value in values.Slice(group * groupSize, groupSize))
        {
            largest = Math.Max(largest, Math.Abs(value));
        }

        // The first is for weights that hardly differ: all at the lowest level.
        GroupFit best = Fit(group, largest / grid.Levels[0]);
        for (int i = 0; largest > 0 && i < Reaches.Length; i++)
        {
            GroupFit fit = Fit(group, largest / (grid.Levels[^1] * Reaches[i]));
            best = fit.Gain > best.Gain ? fit : best;
        }

        return best;
    }

    public GroupFit Fit(int group, float scale)
    {
        double error = 0, product = 0, square = 0;
        for (int start = group * groupSize; start < (group + 1) * groupSize; start += Run)
        {
            (int first, int second, byte signs) = Assign(start, scale);
            ReadOnlySpan<float> left = grid.Point(first), right = grid.Point(second);
            for (int i = 0; i < Run; i++)
            {
                float magnitude = i < grid.Dimensions ? left[i] : right[i - grid.Dimensions];
                double x = values[start + i], w = weights[start + i], level = ((signs >> i) & 1) != 0 ? -magnitude : magnitude;
                double difference = x - (scale * level);
                error += w * difference * difference;
                product += w * x * level;
                square += w * level * level;
            }
        }

        return new(error, product, square);
    }

    /// <summary>The points and signs of eight weights at the scale. A grid of eight dimensions gives one point, returned as the first.</summary>
    [SkipLocalsInit]
    public (int First, int Second, byte Signs) Assign(int start, float scale)
    {
        ReadOnlySpan<float> levels = grid.Levels;
        Span<float> costs = stackalloc float[Run * levels.Length], magnitudes = stackalloc float[Run];
        float inverse = scale > 0 ? HalfScale.Inverse(scale) : 0;
        int signs = 0;
        for (int i = 0; i < Run; i++)
        {
            float value = values[start + i];
            signs |= value < 0 ? 1 << i : 0;
            magnitudes[i] = Math.Min(Math.Abs(value) * inverse, Beyond);
            for (int level = 0; level < levels.Length; level++)
            {
                float difference = magnitudes[i] - levels[level];
                costs[(i * levels.Length) + level] = weights[start + i] * difference * difference;
            }
        }

        if (evenSigns && (BitOperations.PopCount((uint)signs) & 1) != 0)
        {
            return AssignWithFlip(start, costs, magnitudes, signs);
        }

        Span<float> left = stackalloc float[grid.HalfCodes], right = stackalloc float[grid.HalfCodes];
        (int first, _) = Nearest(costs, 0, left, right);
        return grid.Dimensions == Run ? (first, first, (byte)signs) : (first, Nearest(costs, 4, left, right).Point, (byte)signs);
    }

    [SkipLocalsInit]
    private (int First, int Second, byte Signs) AssignWithFlip(int start, ReadOnlySpan<float> costs, ReadOnlySpan<float> magnitudes, int signs)
    {
        // (y + level)^2 - (y - level)^2 for the weight that takes the wrong sign.
        ReadOnlySpan<float> levels = grid.Levels;
        Span<float> extras = stackalloc float[costs.Length];
        for (int i = 0; i < costs.Length; i++)
        {
            int place = i / levels.Length;
            extras[i] = 4 * weights[start + place] * magnitudes[place] * levels[i % levels.Length];
        }

        Span<float> left = stackalloc float[grid.HalfCodes], right = stackalloc float[grid.HalfCodes];
        Span<float> leftExtra = stackalloc float[grid.HalfCodes], rightExtra = stackalloc float[grid.HalfCodes];
        if (grid.Dimensions == Run)
        {
            (int point, _) = NearestWithExtra(costs, extras, 0, left, right, leftExtra, rightExtra);
            return (point, point, (byte)(signs ^ (1 << Cheapest(start, magnitudes, 0, point))));
        }

        (int first, float firstCost) = Nearest(costs, 0, left, right);
        (int second, float secondCost) = Nearest(costs, 4, left, right);
        (int firstFlipped, float firstFlippedCost) = NearestWithExtra(costs, extras, 0, left, right, leftExtra, rightExtra);
        (int secondFlipped, float secondFlippedCost) = NearestWithExtra(costs, extras, 4, left, right, leftExtra, rightExtra);
        return firstFlippedCost + secondCost < firstCost + secondFlippedCost
            ? (firstFlipped, second, (byte)(signs ^ (1 << Cheapest(start, magnitudes, 0, firstFlipped))))
            : (first, secondFlipped, (byte)(signs ^ (1 << Cheapest(start, magnitudes, 4, secondFlipped))));
    }

    private (int Point, float Cost) Nearest(ReadOnlySpan<float> costs, int from, Span<float> left, Span<float> right)
    {
        grid.Combine(Half(costs, from, 0), left);
        grid.Combine(Half(costs, from, 1), right);
        return (grid.Nearest(left, right, out float cost), cost);
    }

    private (int Point, float Cost) NearestWithExtra(
        ReadOnlySpan<float> costs, ReadOnlySpan<float> extras, int from, Span<float> left, Span<float> right, Span<float> leftExtra, Span<float> rightExtra)
    {
        grid.Combine(Half(costs, from, 0), left);
        grid.Combine(Half(costs, from, 1), right);
        grid.CombineLeast(Half(extras, from, 0), leftExtra);
        grid.CombineLeast(Half(extras, from, 1), rightExtra);
        return (grid.NearestWithExtra(left, right, leftExtra, rightExtra, out float cost), cost);
    }

    private ReadOnlySpan<float> Half(ReadOnlySpan<float> costs, int from, int half)
    {
        int length = grid.Dimensions / 2 * grid.Levels.Length;
        return costs.Slice((from * grid.Levels.Length) + (half * length), length);
    }

    /// <summary>The weight among those of a point that loses least by taking the wrong sign.</summary>
    private int Cheapest(int start, ReadOnlySpan<float> magnitudes, int from, int point)
    {
        ReadOnlySpan<float> coordinates = grid.Point(point);
        int cheapest = from;
        float least = float.PositiveInfinity;
        for (int i = 0; i < coordinates.Length; i++)
        {
            float loss = weights[start + from + i] * magnitudes[from + i] * coordinates[i];
            (cheapest, least) = loss < least ? (from + i, loss) : (cheapest, least);
        }

        return cheapest;
    }
}

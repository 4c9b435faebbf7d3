using System.Runtime.CompilerServices;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Weights that are quantized eight at a time to points of the ternary grid, all of which are shifted by +1/8 or -1/8; the shift's sign is shared by
/// <paramref name="shiftSize"/> weights.
/// </summary>
internal readonly ref struct ShiftedGroups(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize, int shiftSize) : IScaledGroups
{
    /// <summary>The shift's magnitude.</summary>
    public const float Shift = 0.125f;

    private const int Run = 8, Quad = 4;

    private const float Beyond = 1e6f;

    // Where the weight of largest magnitude may fall: far above 1, for most of a ternary group should not be zero.
    private static readonly float[] Reaches = [1.2f, 1.45f, 1.7f, 2, 2.4f, 3];

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

        GroupFit best = Fit(group, largest);
        for (int i = 0; largest > 0 && i < Reaches.Length; i++)
        {
            GroupFit fit = Fit(group, largest / Reaches[i]);
            best = fit.Gain > best.Gain ? fit : best;
        }

        return best;
    }

    public GroupFit Fit(int group, float scale)
    {
        Span<int> points = stackalloc int[shiftSize / Run];
        double error = 0, product = 0, square = 0;
        for (int start = group * groupSize; start < (group + 1) * groupSize; start += shiftSize)
        {
            float shift = Assign(start, scale, points) ? -Shift : Shift;
            for (int i = 0; i < shiftSize; i++)
            {
                double x = values[start + i], w = weights[start + i], level = Grid.Iq1.Point(points[i / Run])[i % Run] + shift;
                double difference = x - (scale * level);
                error += w * difference * difference;
                product += w * x * level;
                square += w * level * level;
            }
        }

        return new(error, product, square);
    }

    /// <summary>The points of the weights that share a shift, and whether the shift is down.</summary>
    public bool Assign(int start, float scale, Span<int> points)
    {
        Span<int> down = stackalloc int[points.Length];
        float upCost = 0, downCost = 0, inverse = scale > 0 ? HalfScale.Inverse(scale) : 0;
        for (int run = 0; run < points.Length; run++)
        {
            points[run] = Nearest(start + (run * Run), inverse, Shift, ref upCost);
            down[run] = Nearest(start + (run * Run), inverse, -Shift, ref downCost);
        }

        if (downCost >= upCost)
        {
            return false;
        }

        down.CopyTo(points);
        return true;
    }

    [SkipLocalsInit]
    private int Nearest(int start, float inverse, float shift, ref float total)
    {
        Grid grid = Grid.Iq1;
        ReadOnlySpan<float> levels = grid.Levels;
        Span<float> costs = stackalloc float[Run * levels.Length], left = stackalloc float[grid.HalfCodes], right = stackalloc float[grid.HalfCodes];
        for (int i = 0; i < Run; i++)
        {
            float value = Math.Clamp(values[start + i] * inverse, -Beyond, Beyond) - shift;
            for (int level = 0; level < levels.Length; level++)
            {
                float difference = value - levels[level];
                costs[(i * levels.Length) + level] = weights[start + i] * difference * difference;
            }
        }

        grid.Combine(costs[..(Quad * levels.Length)], left);
        grid.Combine(costs[(Quad * levels.Length)..], right);
        int point = grid.Nearest(left, right, out float cost);
        total += cost;
        return point;
    }
}

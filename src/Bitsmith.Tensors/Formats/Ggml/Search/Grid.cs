using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// A table of points that the IQ types index: vectors of four or eight coordinates, each one of a few levels. Not every combination of levels is a point.
/// </summary>
/// <remarks>
/// The tables are part of the format. <c>Grids.bin</c> holds them one after another in the order below: a little-endian word of 16 bits for each point, with
/// the number of each coordinate's level in two bits (three where there are eight levels), the first coordinate lowest.
/// </remarks>
internal sealed class Grid
{
    private static readonly byte[] Resource = Load();

    private readonly float[] values;
    private readonly ulong[] bytes;

    // The points whose first half has code c are starts[c] to starts[c + 1] of the two lists.
    private readonly int[] starts;
    private readonly short[] secondHalves;
    private readonly short[] indices;

    private Grid(int offset, int count, int dimensions, float[] levels)
    {
        (Dimensions, Levels) = (dimensions, levels);
        int bits = levels.Length == 8 ? 3 : 2, half = dimensions / 2;
        HalfCodes = (int)Math.Pow(levels.Length, half);
        values = new float[count * dimensions];
        int[] first = new int[count], second = new int[count];
        for (int point = 0; point < count; point++)
        {
            int word = BinaryPrimitives.ReadUInt16LittleEndian(Resource.AsSpan(offset + (2 * point)));
            for (int i = 0; i < dimensions; i++)
            {
                int level = (word >> (bits * i)) & ((1 << bits) - 1);
                values[(point * dimensions) + i] = levels[level];
                ref int code = ref (i < half ? ref first[point] : ref second[point]);
                code = (code * levels.Length) + level;
            }
        }

        bytes = [.. Enumerable.Range(0, count).Select(point => Point(point).ToArray().Reverse().Aggregate(0UL, (word, value) => (word << 8) | (byte)(sbyte)value))];
        int[] order = [.. Enumerable.Range(0, count).OrderBy(point => first[point]).ThenBy(point => point)];
        indices = [.. order.Select(point => (short)point)];
        secondHalves = [.. order.Select(point => (short)second[point])];
        starts = [.. Enumerable.Range(0, HalfCodes + 1).Select(code => first.Count(other => other < code))];
    }

    public static Grid Iq2Xxs { get; } = new(0, 256, 8, [8, 25, 43]);

    public static Grid Iq2Xs { get; } = new(512, 512, 8, [8, 25, 43]);

    public static Grid Iq2S { get; } = new(1536, 1024, 8, [8, 25, 43]);

    public static Grid Iq3Xxs { get; } = new(3584, 256, 4, [4, 12, 20, 28, 36, 44, 52, 62]);

    public static Grid Iq3S { get; } = new(4096, 512, 4, [1, 3, 5, 7, 9, 11, 13, 15]);

    public static Grid Iq1 { get; } = new(5120, 2048, 8, [-1, 0, 1]);

    /// <summary>Coordinates of a point, 4 or 8.</summary>
    public int Dimensions { get; }

    /// <summary>The levels of a coordinate, ascending.</summary>
    public float[] Levels { get; }

    /// <summary>Combinations of levels in half a point.</summary>
    public int HalfCodes { get; }

    /// <summary>Number of points.</summary>
    public int Count => indices.Length;

    /// <summary>The coordinates of a point.</summary>
    public ReadOnlySpan<float> Point(int index) => values.AsSpan(index * Dimensions, Dimensions);

    /// <summary>The coordinates of a point as signed bytes, the first lowest.</summary>
    public ulong Bytes(int index) => bytes[index];

    /// <summary>
    /// Adds up costs for half a point: from <see cref="Levels"/> costs for each of its coordinates, one after another, to the cost of each of the
    /// <see cref="HalfCodes"/> combinations.
    /// </summary>
    [SkipLocalsInit]
    public void Combine(ReadOnlySpan<float> costs, Span<float> sums)
    {
        int levels = Levels.Length;
        if (Dimensions == 4)
        {
            Add(costs[..levels], costs.Slice(levels, levels), sums);
            return;
        }

        Span<float> left = stackalloc float[levels * levels], right = stackalloc float[levels * levels];
        Add(costs[..levels], costs.Slice(levels, levels), left);
        Add(costs.Slice(2 * levels, levels), costs.Slice(3 * levels, levels), right);
        Add(left, right, sums);
    }

    /// <summary>As <see cref="Combine"/>, with the least of the costs instead of their sum.</summary>
    [SkipLocalsInit]
    public void CombineLeast(ReadOnlySpan<float> costs, Span<float> least)
    {
        int levels = Levels.Length;
        if (Dimensions == 4)
        {
            Least(costs[..levels], costs.Slice(levels, levels), least);
            return;
        }

        Span<float> left = stackalloc float[levels * levels], right = stackalloc float[levels * levels];
        Least(costs[..levels], costs.Slice(levels, levels), left);
        Least(costs.Slice(2 * levels, levels), costs.Slice(3 * levels, levels), right);
        Least(left, right, least);
    }

    /// <summary>The point of least cost, where a point costs the sum of its halves' costs; of equal ones, the first found in a fixed order.</summary>
    public int Nearest(ReadOnlySpan<float> first, ReadOnlySpan<float> second, out float cost)
    {
        float leastSecond = Smallest(second, out _);
        Smallest(first, out int likely);
        cost = float.PositiveInfinity;
        int best = 0;
        Bucket(likely, first[likely], second, ref best, ref cost);
        for (int code = 0; code < HalfCodes; code++)
        {
            if (first[code] + leastSecond < cost)
            {
                Bucket(code, first[code], second, ref best, ref cost);
            }
        }

        return best;
    }

    /// <summary>
    /// The point of least cost where one of its coordinates must also pay an extra cost: the cheapest of the extras of its two halves is added.
    /// </summary>
    public int NearestWithExtra(
        ReadOnlySpan<float> first, ReadOnlySpan<float> second, ReadOnlySpan<float> firstExtra, ReadOnlySpan<float> secondExtra, out float cost)
    {
        float leastSecond = Smallest(second, out _);
        Smallest(first, out int likely);
        cost = float.PositiveInfinity;
        int best = 0;
        BucketWithExtra(likely, first[likely], second, firstExtra[likely], secondExtra, ref best, ref cost);
        for (int code = 0; code < HalfCodes; code++)
        {
            if (first[code] + leastSecond < cost)
            {
                BucketWithExtra(code, first[code], second, firstExtra[code], secondExtra, ref best, ref cost);
            }
        }

        return best;
    }

    private void Bucket(int code, float partial, ReadOnlySpan<float> second, ref int best, ref float cost)
    {
        for (int i = starts[code]; i < starts[code + 1]; i++)
        {
            float sum = partial + second[secondHalves[i]];
            (best, cost) = sum < cost ? (indices[i], sum) : (best, cost);
        }
    }

    private void BucketWithExtra(
        int code, float partial, ReadOnlySpan<float> second, float extra, ReadOnlySpan<float> secondExtra, ref int best, ref float cost)
    {
        for (int i = starts[code]; i < starts[code + 1]; i++)
        {
            float sum = partial + second[secondHalves[i]] + Math.Min(extra, secondExtra[secondHalves[i]]);
            (best, cost) = sum < cost ? (indices[i], sum) : (best, cost);
        }
    }

    private static void Add(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> sums)
    {
        for (int i = 0; i < left.Length; i++)
        {
            Vector128<float> cost = Vector128.Create(left[i]);
            Span<float> row = sums.Slice(i * right.Length, right.Length);
            int j = 0;
            for (; j <= right.Length - 4; j += 4)
            {
                (cost + Vector128.LoadUnsafe(in right[j])).StoreUnsafe(ref row[j]);
            }

            for (; j < right.Length; j++)
            {
                row[j] = left[i] + right[j];
            }
        }
    }

    private static void Least(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> least)
    {
        for (int i = 0; i < left.Length; i++)
        {
            Vector128<float> cost = Vector128.Create(left[i]);
            Span<float> row = least.Slice(i * right.Length, right.Length);
            int j = 0;
            for (; j <= right.Length - 4; j += 4)
            {
                Vector128.Min(cost, Vector128.LoadUnsafe(in right[j])).StoreUnsafe(ref row[j]);
            }

            for (; j < right.Length; j++)
            {
                row[j] = Math.Min(left[i], right[j]);
            }
        }
    }

    private static float Smallest(ReadOnlySpan<float> costs, out int place)
    {
        Vector128<float> least = Vector128.LoadUnsafe(in costs[0]);
        int i = 4;
        for (; i <= costs.Length - 4; i += 4)
        {
            least = Vector128.Min(least, Vector128.LoadUnsafe(in costs[i]));
        }

        float smallest = Math.Min(Math.Min(least[0], least[1]), Math.Min(least[2], least[3]));
        for (; i < costs.Length; i++)
        {
            smallest = Math.Min(smallest, costs[i]);
        }

        place = costs.IndexOf(smallest);
        return smallest;
    }

    private static byte[] Load()
    {
        using Stream stream = typeof(Grid).Assembly.GetManifestResourceStream("Bitsmith.Tensors.Grids.bin")!;
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}

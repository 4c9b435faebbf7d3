using System.Buffers.Binary;

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

    /// <summary>Bits of a key that hold the code of a point's second half; the code of the first stands above them.</summary>
    public const int SecondBits = 7;

    private readonly float[] values;
    private readonly ulong[] bytes;
    private readonly short[] numbers;

    private Grid(int offset, int count, int dimensions, float[] levels)
    {
        (Dimensions, Levels, Count) = (dimensions, levels, count);
        int bits = levels.Length == 8 ? 3 : 2, half = dimensions / 2;
        HalfCodes = (int)Math.Pow(levels.Length, half);
        values = new float[count * dimensions];
        numbers = new short[HalfCodes << SecondBits];
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

            numbers[(first[point] << SecondBits) | second[point]] = (short)point;
        }

        bytes = [.. Enumerable.Range(0, count).Select(point => Point(point).ToArray().Reverse().Aggregate(0UL, (word, value) => (word << 8) | (byte)(sbyte)value))];
        // Longest lists first: a processor then foresees how often a loop over each will run.
        var lists = Enumerable.Range(0, count).GroupBy(point => first[point], point => second[point]).OrderByDescending(list => list.Count()).ThenBy(list => list.Key).ToArray();
        Firsts = [.. lists.Select(list => list.Key)];
        Pairs = [.. lists.Select(list => (list.Count() + 1) / 2)];
        Seconds = [.. lists.SelectMany(list => list.Count() % 2 == 0 ? list : list.Append(list.Last()))];
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

    /// <summary>Combinations of levels in half a point: the code of a half has the number of its first coordinate's level as the highest digit.</summary>
    public int HalfCodes { get; }

    /// <summary>Number of points.</summary>
    public int Count { get; }

    /// <summary>The coordinates of a point.</summary>
    public ReadOnlySpan<float> Point(int index) => values.AsSpan(index * Dimensions, Dimensions);

    /// <summary>The coordinates of a point as signed bytes, the first lowest.</summary>
    public ulong Bytes(int index) => bytes[index];

    /// <summary>The point whose halves have the codes of a key.</summary>
    public int Number(int key) => numbers[key];

    /// <summary>The codes that first halves of points have, each once.</summary>
    public int[] Firsts { get; }

    /// <summary>For each of <see cref="Firsts"/>, the length of its list of second halves, in pairs.</summary>
    public int[] Pairs { get; }

    /// <summary>For each of <see cref="Firsts"/>, one list behind the other, the codes of the second halves that go with it; the last may be there twice.</summary>
    public int[] Seconds { get; }

    private static byte[] Load()
    {
        using Stream stream = typeof(Grid).Assembly.GetManifestResourceStream("Bitsmith.Tensors.Grids.bin")!;
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}

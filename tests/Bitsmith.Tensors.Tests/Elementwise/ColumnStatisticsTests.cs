using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Elementwise;

public sealed class ColumnStatisticsTests
{
    private static readonly IEnumerable<ComputeOptions> Computes = Sets.All.SelectMany(set => ((int[])[1, 3]).Select(threads => new ComputeOptions(threads, set)));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 17)]
    [InlineData(50, 128)]
    [InlineData(33, 301)]
    public void Sums_are_those_of_rows_added_one_by_one_however_they_are_cut_and_shared(int rows, int columns)
    {
        float[] values = Hostile(rows * columns), weights = [.. Hostile(rows).Select(MathF.Abs)];
        foreach (ReadOnlyMemory<float> each in (ReadOnlyMemory<float>[])[default, weights])
        {
            (double[] magnitudes, double[] squares) = Plain(values, each.Span, columns);
            foreach (ComputeOptions compute in Computes)
            {
                for (int cut = 0; cut <= rows; cut += Math.Max(1, rows / 2))
                {
                    double[] foundMagnitudes = new double[columns], foundSquares = new double[columns];
                    ColumnStatistics.Add(values.AsMemory(0, cut * columns), each.IsEmpty ? each : each[..cut], foundMagnitudes, foundSquares, compute);
                    ColumnStatistics.Add(values.AsMemory(cut * columns), each.IsEmpty ? each : each[cut..], foundMagnitudes, foundSquares, compute);
                    Assert.Equal(magnitudes, foundMagnitudes);
                    Assert.Equal(squares, foundSquares);
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(40, 19)]
    [InlineData(17, 128)]
    public void The_largest_magnitude_of_a_row_is_found_and_what_is_no_number_is_infinite(int rows, int columns)
    {
        float[] values = Hostile(rows * columns), expected = [.. Enumerable.Range(0, rows).Select(row => values.Skip(row * columns).Take(columns).Max(MathF.Abs))];
        foreach (ComputeOptions compute in Computes)
        {
            float[] maxima = new float[rows];
            RowMaxima.Of(values, maxima, compute);
            Assert.Equal(expected, maxima);
            foreach (float bad in (float[])[float.NaN, -float.NaN, float.NegativeInfinity])
            {
                float[] broken = [.. values];
                broken[(rows * columns) - 1] = bad;
                RowMaxima.Of(broken, maxima, compute);
                Assert.Equal([.. expected[..^1], float.PositiveInfinity], maxima);
            }
        }
    }

    [Fact]
    public void Values_that_are_no_whole_rows_are_refused()
    {
        Assert.Throws<ArgumentException>(() => ColumnStatistics.Add(new float[7], default, new double[3], new double[3], ComputeOptions.Default));
        Assert.Throws<ArgumentException>(() => ColumnStatistics.Add(new float[6], new float[3], new double[3], new double[3], ComputeOptions.Default));
        Assert.Throws<ArgumentException>(() => RowMaxima.Of(new float[7], new float[2], ComputeOptions.Default));
    }

    private static (double[] Magnitudes, double[] Squares) Plain(float[] values, ReadOnlySpan<float> weights, int columns)
    {
        (double[] magnitudes, double[] squares) = (new double[columns], new double[columns]);
        for (int i = 0; i < values.Length; i++)
        {
            double value = values[i], weight = weights.IsEmpty ? 1 : weights[i / columns];
            magnitudes[i % columns] += Math.Abs(value) * weight;
            squares[i % columns] += value * value * weight;
        }

        return (magnitudes, squares);
    }

    private static float[] Hostile(int count)
    {
        Random random = new(count);
        return [.. Enumerable.Range(0, count).Select(i => i % 7 == 0 ? -0f : i % 11 == 0 ? float.Epsilon : (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-20, 15)))];
    }
}

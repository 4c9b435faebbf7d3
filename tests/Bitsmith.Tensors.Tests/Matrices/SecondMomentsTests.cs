using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Matrices;

public sealed class SecondMomentsTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 63)]
    [InlineData(130, 64)]
    [InlineData(70, 131)]
    public void Every_element_is_added_up_row_by_row_however_rows_are_cut_and_elements_shared(int rows, int columns)
    {
        Random random = new(columns);
        float[] values = [.. Enumerable.Range(0, rows * columns).Select(i => i % 7 == 0 ? -0f : (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-9, 9)))];
        float[] weights = [.. Enumerable.Range(0, rows).Select(_ => random.NextSingle())];
        foreach (ReadOnlyMemory<float> each in (ReadOnlyMemory<float>[])[default, weights])
        {
            double[] expected = Plain(values, each.Span, columns);
            foreach (ComputeOptions compute in Sets.All.SelectMany(set => ((int[])[1, 3]).Select(threads => new ComputeOptions(threads, set))))
            {
                int cut = compute.Threads == 1 ? 0 : rows / 2;
                using SecondMoments moments = new(columns);
                moments.Add(values.AsMemory(0, cut * columns), each.IsEmpty ? each : each[..cut], compute);
                moments.Add(values.AsMemory(cut * columns), each.IsEmpty ? each : each[cut..], compute);
                for (int i = 0; i < expected.Length; i++)
                {
                    int row = Math.Max(i / columns, i % columns), column = Math.Min(i / columns, i % columns);
                    Assert.Equal(expected[(row * columns) + column], moments[i / columns, i % columns]);
                }
            }
        }
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using SecondMoments moments = new(3);
        Assert.Throws<ArgumentException>(() => moments.Add(new float[7], default, ComputeOptions.Default));
        Assert.Throws<ArgumentException>(() => moments.Add(new float[6], new float[3], ComputeOptions.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => moments[3, 0]);
        Assert.Throws<ArgumentOutOfRangeException>(() => moments[0, -1]);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SecondMoments(0));
        Assert.Equal(0, moments[2, 1]);
    }

    /// <summary>Of the element below the diagonal the row's value is the weighted one.</summary>
    private static double[] Plain(float[] values, ReadOnlySpan<float> weights, int columns)
    {
        double[] sums = new double[columns * columns];
        for (int row = 0; row < values.Length / columns; row++)
        {
            for (int i = 0; i < columns; i++)
            {
                double left = weights.IsEmpty ? values[(row * columns) + i] : values[(row * columns) + i] * weights[row];
                for (int j = 0; j <= i; j++)
                {
                    sums[(i * columns) + j] += left * values[(row * columns) + j];
                }
            }
        }

        return sums;
    }
}

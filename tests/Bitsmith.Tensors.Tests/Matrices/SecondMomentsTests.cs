using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Matrices;

public sealed class SecondMomentsTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 63)]
    [InlineData(130, 64)]
    [InlineData(700, 131)]
    [InlineData(1024, 17)]
    [InlineData(2101, 33)]
    public void Every_element_is_the_sum_over_all_rows_rounded_to_bfloat16_and_its_bits_do_not_depend_on_threads_and_cuts(int rows, int columns)
    {
        Random random = new(columns);
        float[] values = [.. Enumerable.Range(0, rows * columns).Select(i => i % 7 == 0 ? -0f : (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-9, 9)))];
        float[] weights = [.. Enumerable.Range(0, rows).Select(i => i % 5 == 0 ? 0 : random.NextSingle())];
        foreach (ReadOnlyMemory<float> each in (ReadOnlyMemory<float>[])[default, weights])
        {
            (double[] expected, double[] magnitudes) = Plain(values, each.Span, columns);
            foreach (ComputeOptions kernels in Sets.Kernels)
            {
                double[] whole = Sum(values, each, columns, rows, kernels);
                for (int i = 0; i < expected.Length; i++)
                {
                    // At most 64 roundings in each of sixteen sums, and four in their total, of what is no larger than this.
                    Assert.Equal(expected[i], whole[i], magnitudes[i] * 69 / (1 << 24));
                }

                Assert.Equal(whole, Sum(values, each, columns, Math.Max(1, rows / 3), kernels with { Threads = 3 }));
                Assert.Equal(whole, Sum(values, each, columns, 1, kernels));
            }
        }
    }

    [Fact]
    public void Subnormal_values_count_as_zero_and_what_is_no_finite_number_stays_none()
    {
        foreach (ComputeOptions kernels in Sets.Kernels)
        {
            using SecondMoments moments = new(5);
            moments.Add(new float[] { BitConverter.UInt32BitsToSingle(0x007F_0000), 1e19f, float.NaN, float.PositiveInfinity, 1e20f }, default, kernels);
            moments.Complete(kernels);
            Assert.Equal(0, moments[0, 1]);
            Assert.Equal(0, moments[0, 0]);
            Assert.Equal(Math.Pow(BFloat16.Round(1e19f), 2), moments[1, 1], 1e32);
            Assert.Equal([double.NaN, double.PositiveInfinity, double.PositiveInfinity], [moments[2, 2], moments[3, 3], moments[4, 4]]);
        }
    }

    [Fact]
    public void Rows_are_added_up_before_moments_are_read()
    {
        using SecondMoments moments = new(2);
        moments.Add(new float[] { 1, 2 }, default, ComputeOptions.Default);
        Assert.Throws<InvalidOperationException>(() => moments[0, 0]);
        moments.Complete(ComputeOptions.Default);
        moments.Complete(ComputeOptions.Default);
        Assert.Equal((1, 2, 4), (moments[0, 0], moments[0, 1], moments[1, 1]));
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

    private static double[] Sum(float[] values, ReadOnlyMemory<float> weights, int columns, int rowsAtOnce, ComputeOptions compute)
    {
        using SecondMoments moments = new(columns);
        for (int first = 0, rows = values.Length / columns; first < rows; first += rowsAtOnce)
        {
            int count = Math.Min(rowsAtOnce, rows - first);
            moments.Add(values.AsMemory(first * columns, count * columns), weights.IsEmpty ? weights : weights.Slice(first, count), compute);
        }

        moments.Complete(compute);
        return [.. Enumerable.Range(0, columns * columns).Select(i => moments[i / columns, i % columns])];
    }

    /// <summary>Sums in binary64 of what was rounded, and those of the magnitudes.</summary>
    private static (double[] Sums, double[] Magnitudes) Plain(float[] values, ReadOnlySpan<float> weights, int columns)
    {
        double[] sums = new double[columns * columns], magnitudes = new double[sums.Length];
        for (int row = 0; row < values.Length / columns; row++)
        {
            float root = weights.IsEmpty ? 1 : MathF.Sqrt(weights[row]);
            double[] rounded = [.. values.Skip(row * columns).Take(columns).Select(value => (double)BFloat16.Round(value * root))];
            for (int i = 0; i < columns; i++)
            {
                for (int j = 0; j < columns; j++)
                {
                    double product = rounded[i] * rounded[j];
                    sums[(i * columns) + j] += product;
                    magnitudes[(i * columns) + j] += Math.Abs(product);
                }
            }
        }

        return (sums, magnitudes);
    }
}

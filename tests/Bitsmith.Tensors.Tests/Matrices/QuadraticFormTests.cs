using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Matrices;

public sealed class QuadraticFormTests
{
    public static TheoryData<int, int> Shapes => new() { { 1, 1 }, { 3, 63 }, { 97, 64 }, { 200, 130 }, { 5, 1100 }, { 2, 2049 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_form_is_the_sum_of_squared_products_with_all_inputs_on_any_number_of_threads(int rows, int columns)
    {
        float[] inputs = Inputs(columns, columns), errors = Values(rows, columns, rows);
        double[] expected = [.. errors.Chunk(columns).Select(error => inputs.Chunk(columns).Sum(input => Square(Product(error, input))))];
        foreach (ComputeOptions compute in Sets.Kernels)
        {
            // H and the rows rounded to BF16: at most 2^-8 of each product.
            double tolerance = compute.BFloat16Inputs ? 0.004 : 2e-6;
            using SecondMoments moments = new(columns);
            moments.Add(inputs, default, compute);
            moments.Complete(compute);
            using QuadraticForm form = new();
            double[] found = new double[rows], again = new double[rows];
            form.Evaluate(moments, errors, found, compute);
            for (int i = 0; i < rows; i++)
            {
                Assert.Equal(expected[i], found[i], tolerance * Magnitude(errors.AsSpan(i * columns, columns), inputs, columns));
            }

            form.Evaluate(moments, errors, again, compute with { Threads = 3 });
            Assert.Equal(found, again);
            form.Evaluate(moments, errors.AsMemory((rows - 1) * columns), again.AsMemory(0, 1), compute);
            Assert.Equal(found[^1], again[0]);
        }
    }

    [Theory]
    [InlineData(1, 16)]
    [InlineData(70, 32)]
    [InlineData(100, 130)]
    [InlineData(7, 1000)]
    public void A_blocks_form_counts_its_columns_alone(int rows, int width)
    {
        const int Columns = 270;
        float[] inputs = Inputs(Columns, width), errors = Values(rows, Columns, rows);
        using SecondMoments moments = new(Columns);
        moments.Add(inputs, default, ComputeOptions.Default);
        moments.Complete(ComputeOptions.Default);
        int blocks = (Columns + width - 1) / width;
        foreach (ComputeOptions compute in Sets.All.Select(set => new ComputeOptions(2, set)))
        {
            double[] found = new double[rows * blocks];
            QuadraticForm.EvaluateBlocks(moments, width, errors, found, compute);
            for (int i = 0; i < found.Length; i++)
            {
                float[] part = new float[Columns];
                int first = i % blocks * width, count = Math.Min(width, Columns - first);
                errors.AsSpan((i / blocks * Columns) + first, count).CopyTo(part.AsSpan(first));
                double expected = inputs.Chunk(Columns).Sum(input => Square(Product(part, input)));
                Assert.Equal(expected, found[i], 2e-6 * Magnitude(part, inputs, Columns));
            }
        }
    }

    [Fact]
    public void Inputs_whose_squares_are_numbers_of_binary32_neither_overflow_nor_vanish()
    {
        foreach (float size in (float[])[1e-18f, 1, 1e18f])
        {
            using SecondMoments moments = new(2);
            moments.Add(new float[] { size, 0 }, default, ComputeOptions.Default);
            moments.Complete(ComputeOptions.Default);
            using QuadraticForm form = new();
            double[] found = new double[2];
            form.Evaluate(moments, new float[] { 2, 1e10f, 0, 1 }, found, ComputeOptions.Default);
            Assert.Equal(4 * Square(BFloat16.Round(size)), found[0], 1e-6 * size * size);
            Assert.Equal(0, found[1]);
        }
    }

    [Fact]
    public void Without_inputs_nothing_costs_anything_and_what_does_not_fit_is_refused()
    {
        using SecondMoments moments = new(3);
        using QuadraticForm form = new();
        double[] found = [7, 7];
        form.Evaluate(moments, new float[6], found, ComputeOptions.Default);
        Assert.Equal([0, 0], found);
        QuadraticForm.EvaluateBlocks(moments, 2, new float[3], found, ComputeOptions.Default);
        Assert.Equal([0, 0], found);
        Assert.Throws<ArgumentException>(() => form.Evaluate(moments, new float[5], found, ComputeOptions.Default));
        Assert.Throws<ArgumentException>(() => QuadraticForm.EvaluateBlocks(moments, 1, new float[3], found, ComputeOptions.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => QuadraticForm.EvaluateBlocks(moments, 0, new float[3], found, ComputeOptions.Default));
    }

    /// <summary>As the moments round them.</summary>
    private static float[] Inputs(int columns, int seed) => [.. Values(20, columns, seed).Select(BFloat16.Round)];

    private static float[] Values(int rows, int columns, int seed)
    {
        Random random = new(seed);
        float[] sizes = [.. Enumerable.Range(0, columns).Select(_ => MathF.Pow(10, random.Next(-3, 3)))];
        return [.. Enumerable.Range(0, rows * columns).Select(i => i % 11 == 0 ? -0f : (random.NextSingle() - 0.4f) * sizes[i % columns])];
    }

    private static double Product(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        double sum = 0;
        for (int i = 0; i < left.Length; i++)
        {
            sum += (double)left[i] * right[i];
        }

        return sum;
    }

    /// <summary>What the sum would be if nothing cancelled.</summary>
    private static double Magnitude(ReadOnlySpan<float> error, float[] inputs, int columns)
    {
        float[] magnitudes = [.. error.ToArray().Select(MathF.Abs)];
        return inputs.Chunk(columns).Sum(input => Square(Product(magnitudes, [.. input.Select(MathF.Abs)])));
    }

    private static double Square(double value) => value * value;
}

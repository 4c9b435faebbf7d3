using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Elementwise;

public sealed class ColumnSumsTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 17)]
    [InlineData(50, 128)]
    [InlineData(33, 301)]
    public void A_column_is_added_up_in_binary64_and_rounded_once_on_every_instruction_set_and_any_number_of_threads(int rows, int columns)
    {
        Random random = new(rows * columns);
        float[] values = [.. Enumerable.Range(0, rows * columns).Select(i => i % 7 == 0 ? -0f : (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-20, 15)))];
        float[] before = [.. Enumerable.Range(0, columns).Select(_ => random.NextSingle())];
        foreach (ComputeOptions compute in Sets.All.SelectMany(set => ((int[])[1, 3]).Select(threads => new ComputeOptions(threads, set))))
        {
            float[] sums = [.. before], squares = [.. before];
            ColumnSums.Add(values, sums, squares, compute);
            for (int column = 0; column < columns; column++)
            {
                double sum = 0, square = 0;
                for (int row = 0; row < rows; row++)
                {
                    double value = values[(row * columns) + column];
                    (sum, square) = (sum + value, square + (value * value));
                }

                Assert.Equal(((float)(before[column] + sum), (float)(before[column] + square)), (sums[column], squares[column]));
            }
        }
    }

    [Fact]
    public void Infinities_and_what_is_no_number_stay_in_their_column()
    {
        float[] sums = new float[4], squares = new float[4];
        ColumnSums.Add((float[])[1, float.NaN, float.PositiveInfinity, 3e19f, 1, 1, float.NegativeInfinity, 3e19f], sums, squares, ComputeOptions.Default);
        Assert.Equal((2f, float.NaN, float.NaN), (sums[0], sums[1], sums[2]));
        Assert.Equal((2f, float.PositiveInfinity, float.PositiveInfinity), (squares[0], squares[2], squares[3]));
    }

    [Fact]
    public void Values_that_are_no_whole_rows_are_refused() =>
        Assert.Throws<ArgumentException>(() => ColumnSums.Add(new float[7], new float[3], new float[3], ComputeOptions.Default));
}

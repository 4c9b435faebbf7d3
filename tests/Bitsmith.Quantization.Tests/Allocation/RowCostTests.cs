using Bitsmith.Quantization.Allocation;

namespace Bitsmith.Quantization.Tests.Allocation;

public sealed class RowCostTests
{
    [Fact]
    public void The_output_error_is_the_mean_square_of_what_errors_do_to_outputs()
    {
        // Inputs of independent columns: over many draws of them, the mean square of Σ e x.
        Random random = new(1);
        const int Columns = 24, Draws = 400_000;
        double[] means = [.. Enumerable.Range(0, Columns).Select(_ => random.NextDouble() - 0.5)], deviations = [.. Enumerable.Range(0, Columns).Select(_ => random.NextDouble())];
        float[] errors = [.. Enumerable.Range(0, Columns).Select(_ => (float)(random.NextDouble() - 0.5))];
        double sum = 0;
        for (int draw = 0; draw < Draws; draw++)
        {
            double output = 0;
            for (int i = 0; i < Columns; i++)
            {
                output += errors[i] * (means[i] + (deviations[i] * (random.Next(2) == 0 ? 1 : -1)));
            }

            sum += output * output;
        }

        InputMoments inputs = new([.. means.Zip(deviations, (mean, deviation) => (float)((mean * mean) + (deviation * deviation)))], [.. means.Select(mean => (float)mean)], 1);
        double[] numbers = new double[1];
        new OutputErrorCost().Measure(new float[Columns], errors, inputs, numbers);
        Assert.Equal(1, sum / Draws / numbers[0], 0.02);
        Assert.Equal([numbers[0] * 100 / 4], new OutputErrorCost().Costs(100, inputs, [[numbers[0] / 2, 0, numbers[0] / 2, 0]]));
    }

    [Fact]
    public void The_weight_error_of_a_row_is_relative_and_leaves_the_ends_out_of_the_mean()
    {
        WeightErrorCost cost = new();
        InputMoments inputs = new([2, 1], null, 1);
        double[] numbers = new double[2];
        cost.Measure([1, 2], [0.5f, 1], inputs, numbers);
        Assert.Equal((2 * 0.25) + 1, numbers[0] * (2 + 4), 9);
        Assert.Equal(0, numbers[1]);

        // Of a hundred rows two are left out at either end.
        double[] rows = [.. Enumerable.Range(0, 200).Select(i => i % 2 == 1 ? 0.0 : i / 2 < 2 ? 0 : i / 2 >= 98 ? 1e9 : 1)];
        Assert.Equal([1000.0], cost.Costs(1000, inputs, [rows]));
    }

    [Theory]
    [InlineData(1000, 100)]
    [InlineData(7, 7)]
    [InlineData(129, 128)]
    [InlineData(1, 5)]
    public void A_sample_lies_inside_the_matrix_and_depends_on_the_name(int rows, int wanted)
    {
        HashSet<int> starts = [];
        foreach (int matrix in Enumerable.Range(0, 50))
        {
            RowSample sample = RowSample.Of("blk.0.ffn_down_exps.weight", matrix, rows, wanted);
            Assert.Equal(Math.Min(rows, wanted), sample.Count);
            Assert.InRange(sample.First + ((sample.Count - 1) * sample.Stride), 0, rows - 1);
            Assert.Equal(sample, RowSample.Of("blk.0.ffn_down_exps.weight", matrix, rows, wanted));
            starts.Add(sample.First);
        }

        Assert.True(rows < 2 * wanted || starts.Count > 1);
    }
}

using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Gptq;

public sealed class GptqTests
{
    private const double Damping = 0.01;

    private static readonly GptqOptions Once = new(Sweeps: 0);

    [Theory]
    [InlineData(16)]
    [InlineData(131)]
    public void The_factor_is_the_Cholesky_factor_of_the_damped_moments_in_ascending_order_of_their_diagonal(int columns)
    {
        float[] inputs = Inputs(columns, 3 * columns, seed: columns);
        float[] factors = [.. Enumerable.Range(0, columns).Select(i => 0.5f + (i % 5))];
        double[,] expected = Moments(inputs, columns, factors);
        double mean = Enumerable.Range(0, columns).Average(i => expected[i, i]);
        foreach (InstructionSet set in Sets.All)
        {
            using MomentFactor factor = Factor(inputs, columns, new ComputeOptions(2, set), factors);
            int[] order = factor.Order.ToArray();
            Assert.Equal(Enumerable.Range(0, columns), order.Order());
            Assert.Equal(order, order.OrderBy(column => expected[column, column]));
            Assert.Equal(mean, factor.Unit, mean * 1e-6);
            double[,] lower = Cholesky(columns, (row, column) => (expected[order[row], order[column]] / mean) + (row == column ? Damping : 0));
            for (int row = 0; row < columns; row++)
            {
                for (int below = row + 1; below < columns; below++)
                {
                    Assert.Equal(lower[below, row] / lower[row, row], Element(factor, row, below), 1e-4);
                }
            }
        }
    }

    [Fact]
    public void Columns_that_never_occur_together_are_rounded_each_for_itself()
    {
        const int Columns = 64, Rows = 5;
        float[] inputs = new float[Columns * Columns], weights = Weights(Rows, Columns, 3);
        for (int i = 0; i < Columns; i++)
        {
            inputs[(i * Columns) + i] = 0.1f + (i % 9);
        }

        using MomentFactor factor = Factor(inputs, Columns, ComputeOptions.Default);
        Packed found = Int4(weights, 32, factor, Once);
        Packed expected = new(Rows * Columns / 2, Rows * Columns / 32 * sizeof(float));
        Int4Group.Encode(
            WeightEncoder.Best, ElementType.F32, MemoryMarshal.AsBytes<float>(weights), 32, ColumnWeights.Of(factor.Diagonal, Columns), expected.Codes, expected.Scales, new QuantizationError[Rows], new QuantizationError[Rows]);
        Assert.Equal(expected.Scales, found.Scales);
        Assert.Equal(expected.Codes, found.Codes);
    }

    [Fact]
    public void Zero_points_belong_to_the_codes_and_pay_where_weights_lie_on_one_side()
    {
        const int Columns = 128, Rows = 77;
        float[] inputs = Inputs(Columns, 400, 5), weights = [.. Weights(Rows, Columns, 6).Select(MathF.Abs)];
        using MomentFactor factor = Factor(inputs, Columns, ComputeOptions.Default);
        Packed found = Int4(weights, 32, factor, new GptqOptions(), hasZeroPoints: true), symmetric = Int4(weights, 32, factor, new GptqOptions());
        Assert.True(found.Loss.Error < 0.4 * symmetric.Loss.Error, $"{found.Loss.Error} against {symmetric.Loss.Error}");
        Assert.Equal(Columns / 32 * 10 * sizeof(uint), found.Zeros!.Length);
        Assert.All(found.Zeros.Chunk(Columns / 32 * sizeof(uint)).Last().Chunk(sizeof(uint)), word => Assert.Equal(0u, BitConverter.ToUInt32(word) >> 20)); // five rows
    }

    [Fact]
    public void Inputs_that_were_all_zero_mean_plain_rounding()
    {
        float[] weights = Weights(3, 48, 4);
        using MomentFactor factor = Factor(new float[48], 48, ComputeOptions.Default);
        Packed found = NvFp4(weights, 100, factor, new GptqOptions());
        Packed expected = new(3 * 24, 3 * 3);
        NvFp4Group.Encode(WeightEncoder.Best, ElementType.F32, MemoryMarshal.AsBytes<float>(weights), 100, ColumnWeights.Of([], 48), expected.Codes, expected.Scales, new QuantizationError[3], new QuantizationError[3]);
        Assert.Equal((expected with { GlobalScale = 100 }).Decoded(NvFp4Group.Columns, 48), found.Decoded(NvFp4Group.Columns, 48)); // whose zeros may have another sign
        Assert.Equal(expected.Scales, found.Scales);
        Assert.Equal(default, found.Loss);
    }

    [Theory]
    [InlineData(32, 96, 7)]
    [InlineData(128, 256, 70)]
    public void One_pass_gives_the_codes_of_GPTQ_with_the_inverse_in_binary64(int groupSize, int columns, int rows)
    {
        float[] inputs = Inputs(columns, 2 * columns, seed: rows), weights = Weights(rows, columns, rows);
        using MomentFactor factor = Factor(inputs, columns, ComputeOptions.Default);
        Packed found = Int4(weights, groupSize, factor, Once);
        float[] scales = MemoryMarshal.Cast<byte, float>(found.Scales).ToArray();
        int[] expected = Textbook(weights, rows, columns, groupSize, scales, Moments(inputs, columns, []), factor.Order.ToArray());
        int different = Enumerable.Range(0, rows * columns).Count(i => ((found.Codes[i / 2] >> (i % 2 * 4)) & 15) + Int4Group.Lowest != expected[i]);
        // Where a sum lies within binary32's rounding of a tie, the row may go another way from there on.
        Assert.True(different <= rows * columns / 500, $"{different} of {rows * columns} codes differ");
    }

    [Theory]
    [InlineData(64, 64, 1)]
    [InlineData(32, 160, 67)]
    [InlineData(16, 80, 5)]
    [InlineData(64, 64, 1, true)]
    [InlineData(32, 160, 67, true)]
    public void The_loss_is_what_the_outputs_lose_and_never_grows_with_sweeps(int groupSize, int columns, int rows, bool hasZeroPoints = false)
    {
        float[] inputs = Inputs(columns, 300, seed: columns), weights = Weights(rows, columns, columns);
        foreach (InstructionSet set in Sets.All)
        {
            ComputeOptions compute = new(2, set);
            using MomentFactor factor = Factor(inputs, columns, compute);
            double last = double.PositiveInfinity;
            for (int sweeps = 0; sweeps < 4; sweeps++)
            {
                Packed found = groupSize == NvFp4Group.Columns ? NvFp4(weights, 3000, factor, new GptqOptions(sweeps), compute) : Int4(weights, groupSize, factor, new GptqOptions(sweeps), compute, hasZeroPoints);
                double[] outputs = Outputs(inputs, weights, rows), errors = Outputs(inputs, [.. weights.Zip(found.Decoded(groupSize, columns), (weight, value) => weight - value)], rows);
                double error = errors.Sum(value => value * value), signal = outputs.Sum(value => value * value);
                Assert.Equal(signal, found.Loss.Signal, signal * 1e-4);
                Assert.Equal(error, found.Loss.Error, (error * 1e-3) + (signal * 1e-6));
                Assert.True(found.Loss.Error < found.Loss.LibraryError);
                Assert.True(found.Loss.Error <= last * 1.0001, $"sweep {sweeps}: {found.Loss.Error} after {last}");
                last = found.Loss.Error;
            }
        }
    }

    [Fact]
    public void Bytes_depend_neither_on_threads_nor_on_the_rows_encoded_with_them()
    {
        const int Columns = 192, Rows = 150;
        float[] inputs = Inputs(Columns, 500, 1), weights = Weights(Rows, Columns, 2);
        using MomentFactor factor = Factor(inputs, Columns, new ComputeOptions(3, Cpu.Default)), alone = Factor(inputs, Columns, new ComputeOptions(1, Cpu.Default));
        Packed all = Int4(weights, 64, factor, new GptqOptions(), new ComputeOptions(3, Cpu.Default));
        for (int row = 0; row < Rows; row += 31)
        {
            Packed one = Int4(weights[(row * Columns)..((row + 1) * Columns)], 64, alone, new GptqOptions(), new ComputeOptions(1, Cpu.Default));
            Assert.Equal(one.Codes, all.Codes.AsSpan(row * Columns / 2, Columns / 2));
            Assert.Equal(one.Scales, all.Scales.AsSpan(row * Columns / 64 * sizeof(float), one.Scales.Length));
        }
    }

    [Fact]
    public void Dead_columns_outliers_zeros_and_tiny_weights_give_finite_results_and_no_more_loss_than_the_library()
    {
        const int Columns = 128, Rows = 8;
        float[] inputs = Inputs(Columns, 200, 9), weights = Weights(Rows, Columns, 8);
        for (int i = 0; i < inputs.Length; i++)
        {
            inputs[i] *= (i % Columns) switch { < 20 => 0, 77 => 1e6f, 100 => 1e-30f, _ => 1 };
        }

        weights.AsSpan(0, Columns).Clear();
        weights.AsSpan(Columns, Columns).Fill(-0f);
        for (int i = 2 * Columns; i < 3 * Columns; i++)
        {
            weights[i] *= 1e-38f;
        }

        weights[(3 * Columns) + 5] = 3e38f;
        weights[(4 * Columns) + 90] = -1e20f;
        using MomentFactor factor = Factor(inputs, Columns, ComputeOptions.Default);
        foreach (Packed found in (Packed[])[Int4(weights, 32, factor, new GptqOptions()), Int4(weights, 32, factor, new GptqOptions(), hasZeroPoints: true), Int4(weights[(5 * Columns)..], 32, factor, new GptqOptions())])
        {
            Assert.All(MemoryMarshal.Cast<byte, float>(found.Scales).ToArray(), scale => Assert.True(float.IsFinite(scale) && scale != 0));
        }

        Packed ordinary = Int4(weights[(5 * Columns)..], 32, factor, new GptqOptions());
        Assert.True(ordinary.Loss.Error < ordinary.Loss.LibraryError);
        weights[(6 * Columns) + 3] = float.NaN;
        NonFiniteWeightException problem = Assert.Throws<NonFiniteWeightException>(() => Int4([.. Weights(70, Columns, 1), .. weights], 32, factor, Once));
        Assert.Equal((76, 3), (problem.Row, problem.Column));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using SecondMoments moments = new(32);
        using MomentFactor factor = new(moments, [], Damping, ComputeOptions.Default);
        Assert.Throws<ArgumentException>(() => new MomentFactor(moments, new float[3], Damping, ComputeOptions.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MomentFactor(moments, [], 0, ComputeOptions.Default));
        Assert.Throws<ArgumentException>(() => Int4(new float[33], 32, factor, Once));
        Assert.Throws<ArgumentException>(() => Int4(new float[32], 24, factor, Once));
        Assert.Throws<ArgumentException>(() => Int4Group.EncodeGptq(ElementType.I32, new float[32], 32, factor, Once, new byte[16], new byte[4], ComputeOptions.Default));
        Assert.Throws<ArgumentException>(() => NvFp4Group.EncodeGptq(ElementType.BF16, new float[32], 0, factor, Once, new byte[16], new byte[2], ComputeOptions.Default));
    }

    private static Packed Int4(float[] weights, int groupSize, MomentFactor factor, GptqOptions options, ComputeOptions? compute = null, bool hasZeroPoints = false)
    {
        Packed result = new(weights.Length / 2, weights.Length / groupSize * sizeof(float));
        if (hasZeroPoints)
        {
            byte[] zeroPoints = new byte[ZeroPoints.BytesOf(weights.Length / factor.Columns, factor.Columns / groupSize)];
            return result with { Zeros = zeroPoints, Loss = Int4ZeroPointGroup.EncodeGptq(ElementType.F32, weights, groupSize, factor, options, result.Codes, result.Scales, zeroPoints, compute ?? ComputeOptions.Default) };
        }

        return result with { Loss = Int4Group.EncodeGptq(ElementType.F32, weights, groupSize, factor, options, result.Codes, result.Scales, compute ?? ComputeOptions.Default) };
    }

    private static Packed NvFp4(float[] weights, float globalScale, MomentFactor factor, GptqOptions options, ComputeOptions? compute = null)
    {
        Packed result = new(weights.Length / 2, weights.Length / NvFp4Group.Columns);
        return result with { GlobalScale = globalScale, Loss = NvFp4Group.EncodeGptq(ElementType.F32, weights, globalScale, factor, options, result.Codes, result.Scales, compute ?? ComputeOptions.Default) };
    }

    private static unsafe double Element(MomentFactor factor, int row, int column) => factor.Factor[(row * factor.Columns) + column];

    private static MomentFactor Factor(float[] inputs, int columns, ComputeOptions compute, float[]? factors = null)
    {
        using SecondMoments moments = new(columns);
        moments.Add(inputs, default, compute);
        moments.Complete(compute);
        return new MomentFactor(moments, factors ?? [], Damping, compute);
    }

    /// <summary>Rows whose columns depend on each other, in BF16, to which moments round them.</summary>
    private static float[] Inputs(int columns, int rows, int seed)
    {
        Random random = new(seed);
        float[] mix = [.. Enumerable.Range(0, columns * 8).Select(_ => (random.NextSingle() - 0.5f) * 3)];
        float[] inputs = new float[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            float[] causes = [.. Enumerable.Range(0, 8).Select(_ => random.NextSingle() - 0.5f)];
            for (int column = 0; column < columns; column++)
            {
                inputs[(row * columns) + column] = (random.NextSingle() - 0.5f) * (1 + (column % 7));
                for (int cause = 0; cause < 8; cause++)
                {
                    inputs[(row * columns) + column] += causes[cause] * mix[(column * 8) + cause];
                }
            }
        }

        return [.. inputs.Select(BFloat16.Round)];
    }

    private static float[] Weights(int rows, int columns, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, rows * columns).Select(_ => (random.NextSingle() - random.NextSingle()) * (random.Next(50) == 0 ? 0.5f : 0.1f))];
    }

    private static double[,] Moments(float[] inputs, int columns, float[] factors)
    {
        double[,] sums = new double[columns, columns];
        for (int row = 0; row < inputs.Length / columns; row++)
        {
            for (int i = 0; i < columns; i++)
            {
                for (int j = 0; j < columns; j++)
                {
                    sums[i, j] += (double)inputs[(row * columns) + i] * inputs[(row * columns) + j] / (factors.Length == 0 ? 1 : (double)factors[i] * factors[j]);
                }
            }
        }

        return sums;
    }

    private static double[,] Cholesky(int columns, Func<int, int, double> matrix)
    {
        double[,] lower = new double[columns, columns];
        for (int row = 0; row < columns; row++)
        {
            for (int column = 0; column <= row; column++)
            {
                double sum = matrix(row, column);
                for (int i = 0; i < column; i++)
                {
                    sum -= lower[row, i] * lower[column, i];
                }

                lower[row, column] = row == column ? Math.Sqrt(sum) : sum / lower[column, column];
            }
        }

        return lower;
    }

    /// <summary>GPTQ as its paper has it: the upper Cholesky factor of the damped moments' inverse, errors carried on to all columns that are not rounded yet.</summary>
    private static int[] Textbook(float[] weights, int rows, int columns, int groupSize, float[] scales, double[,] moments, int[] ascending)
    {
        int[] order = [.. ascending.Reverse()];
        double mean = Enumerable.Range(0, columns).Average(i => moments[i, i]);
        double[,] lower = Cholesky(columns, (row, column) => moments[order[row], order[column]] + (row == column ? Damping * mean : 0)), inverse = new double[columns, columns];
        for (int column = 0; column < columns; column++)
        {
            double[] solved = new double[columns];
            for (int row = 0; row < columns; row++)
            {
                solved[row] = ((row == column ? 1 : 0) - Enumerable.Range(0, row).Sum(i => lower[row, i] * solved[i])) / lower[row, row];
            }

            for (int row = columns - 1; row >= 0; row--)
            {
                int at = row;
                inverse[row, column] = (solved[row] - Enumerable.Range(row + 1, columns - row - 1).Sum(i => lower[i, at] * inverse[i, column])) / lower[row, row];
            }
        }

        double[,] factor = Cholesky(columns, (row, column) => inverse[row, column]);
        int[] codes = new int[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            double[] rest = [.. order.Select(column => (double)weights[(row * columns) + column])];
            for (int place = 0; place < columns; place++)
            {
                double scale = scales[(row * (columns / groupSize)) + (order[place] / groupSize)];
                int code = (int)Math.Round(Math.Clamp(rest[place] / scale, Int4Group.Lowest, Int4Group.Highest), MidpointRounding.ToEven);
                codes[(row * columns) + order[place]] = code;
                double error = (rest[place] - (code * scale)) / factor[place, place];
                for (int behind = place + 1; behind < columns; behind++)
                {
                    rest[behind] -= error * factor[behind, place];
                }
            }
        }

        return codes;
    }

    private static double[] Outputs(float[] inputs, float[] weights, int rows)
    {
        int columns = weights.Length / rows;
        return [.. Enumerable.Range(0, inputs.Length / columns).SelectMany(token => Enumerable.Range(0, rows).Select(row =>
            Enumerable.Range(0, columns).Sum(i => (double)inputs[(token * columns) + i] * weights[(row * columns) + i])))];
    }

    private sealed record Packed(int CodeBytes, int ScaleBytes)
    {
        public byte[] Codes { get; } = new byte[CodeBytes];

        public byte[] Scales { get; } = new byte[ScaleBytes];

        public float GlobalScale { get; init; }

        public byte[]? Zeros { get; init; }

        public GptqLoss Loss { get; init; }

        /// <summary>(code - zero point) · scale in binary32, not rounded to BF16.</summary>
        public float[] Decoded(int groupSize, int columns) => [.. Enumerable.Range(0, CodeBytes * 2).Select(i =>
        {
            int code = (Codes[i / 2] >> (i % 2 * 4)) & 15, group = i / groupSize;
            return GlobalScale > 0
                ? NvFp4Group.ValueOf(code) * (new Float8E4M3(Scales[group]).ToSingle() / GlobalScale)
                : (code + Int4Group.Lowest - ZeroOf(i / columns, i % columns / groupSize, columns / groupSize)) * MemoryMarshal.Read<float>(Scales.AsSpan(group * sizeof(float)));
        })];

        private int ZeroOf(int row, int group, int groups) =>
            Zeros is null ? 0 : (int)((BitConverter.ToUInt32(Zeros, ((row / 8 * groups) + group) * sizeof(uint)) >> (row % 8 * 4)) & 15) - 8;
    }
}

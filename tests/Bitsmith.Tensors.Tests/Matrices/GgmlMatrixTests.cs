using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Tests.Matrices;

public sealed class GgmlMatrixTests
{
    private const int Tokens = 7;

    public static TheoryData<GgmlType> Types => [.. GgmlFormats.All.Where(format => format.BlockValues > 1).Select(format => format.Type)];

    [Theory]
    [MemberData(nameof(Types))]
    public void Unpacked_codes_times_scales_less_minima_are_the_decoded_values(GgmlType type)
    {
        GgmlFormat format = GgmlFormats.Of(type);
        Random random = new((int)type);
        for (int values = format.BlockValues; values <= 256; values += format.BlockValues)
        {
            byte[] blocks = RandomBlocks(format, 1, values, random);
            float[] decoded = new float[values], scales = new float[values / 16], minima = new float[values / 16];
            sbyte[] codes = new sbyte[values];
            format.Decode(blocks, decoded, InstructionSet.Scalar);
            format.Unpack(blocks, codes, scales, minima);
            Assert.True(format.HasMinima || minima.All(minimum => minimum == 0));
            for (int i = 0; i < values; i++)
            {
                double product = (double)scales[i / 16] * codes[i], offset = minima[i / 16], bound = 1e-6 * (Math.Abs(product) + Math.Abs(offset));
                Assert.InRange(decoded[i], product - offset - bound, product - offset + bound);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Products_agree_with_binary64_on_the_same_codes_to_the_same_bits_on_every_kernel_in_any_batch_on_any_threads(GgmlType type)
    {
        GgmlFormat format = GgmlFormats.Of(type);
        foreach ((int rows, int blocks) in new[] { (1, 1), (3, 3), (10, 2048 / format.BlockValues), (67, 1 + (1024 / format.BlockValues)) })
        {
            int columns = blocks * format.BlockValues;
            Random random = new(rows + columns);
            byte[] weights = RandomBlocks(format, rows, columns, random);
            float[] inputs = [.. Enumerable.Range(0, Tokens * columns).Select(i => Input(random, i / columns))], bias = [.. Enumerable.Range(0, rows).Select(_ => random.NextSingle())];
            double[] rounded = [.. Enumerable.Range(0, Tokens).SelectMany(token => Rounded(format, inputs.AsSpan(token * columns, columns)))];
            WeightMatrix matrix = WeightMatrix.Ggml(type, rows, columns, TensorBytes.FromArray(weights));
            float[] decoded = new float[rows * columns], first = [];
            matrix.Read(0, rows, decoded, InstructionSet.Scalar);
            using MatrixInput input = new();
            foreach (InstructionSet set in Cpu.Available)
            {
                foreach (bool exact in new[] { true, false })
                {
                    ComputeOptions compute = new(1, set, BlockInputs: !exact);
                    float[] whole = new float[Tokens * rows];
                    input.Set(inputs, Tokens);
                    matrix.Multiply(input, bias, whole, compute);
                    for (int i = 0; i < whole.Length; i++)
                    {
                        (int token, int row) = Math.DivRem(i, rows);
                        double sum = bias[row], size = Math.Abs(bias[row]);
                        for (int column = 0; column < columns; column++)
                        {
                            double term = (exact ? inputs[(token * columns) + column] : rounded[(token * columns) + column]) * decoded[(row * columns) + column];
                            (sum, size) = (sum + term, size + Math.Abs(term));
                        }

                        // Offsets are subtracted after codes are summed up; in the types with blocks of 32 they meet a sum that is rounded to binary16.
                        double bound = (!format.HasMinima || exact ? 2e-6 : format.BlockValues == 32 ? 2e-3 : 1e-5) * size;
                        Assert.InRange(whole[i], sum - bound, sum + bound);
                    }

                    for (int start = 0, count = 1; start < Tokens; start += count, count = Math.Min(count + 1, Tokens - start))
                    {
                        float[] part = new float[count * rows];
                        input.Set(inputs.AsMemory(start * columns, count * columns), count);
                        matrix.Multiply(input, bias, part, compute with { Threads = 3 });
                        Assert.Equal(whole[(start * rows)..((start + count) * rows)], part);
                    }

                    if (!exact)
                    {
                        first = first.Length == 0 ? whole : first;
                        Assert.Equal(first, whole);
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(GgmlType.Q4_0, float.NaN)]
    [InlineData(GgmlType.Q4_0, float.PositiveInfinity)]
    [InlineData(GgmlType.Q6_K, float.NaN)]
    [InlineData(GgmlType.Q6_K, float.NegativeInfinity)]
    public void An_input_that_is_no_number_shows_in_its_own_token_alone(GgmlType type, float hostile)
    {
        const int Rows = 5, Columns = 512;
        GgmlFormat format = GgmlFormats.Of(type);
        WeightMatrix matrix = WeightMatrix.Ggml(type, Rows, Columns, TensorBytes.FromArray(RandomBlocks(format, Rows, Columns, new Random(1))));
        float[] inputs = new float[3 * Columns], outputs = new float[3 * Rows];
        Array.Fill(inputs, 1);
        inputs[Columns + 300] = hostile;
        foreach (InstructionSet set in Cpu.Available)
        {
            using MatrixInput input = new();
            input.Set(inputs, 3);
            matrix.Multiply(input, default, outputs, new ComputeOptions(1, set, BlockInputs: true));
            Assert.Equal(Enumerable.Range(0, 15).Select(i => i / Rows == 1), outputs.Select(float.IsNaN));
        }
    }

    [Fact]
    public void Inputs_too_small_for_a_scale_count_as_zero()
    {
        const int Columns = 256;
        foreach (GgmlType type in new[] { GgmlType.Q8_0, GgmlType.Q4_K })
        {
            WeightMatrix matrix = WeightMatrix.Ggml(type, 1, Columns, TensorBytes.FromArray(RandomBlocks(GgmlFormats.Of(type), 1, Columns, new Random(2))));
            foreach (float value in new[] { 0f, -0f, float.Epsilon, -1e-40f })
            {
                float[] inputs = new float[Columns], outputs = [float.NaN];
                Array.Fill(inputs, value);
                using MatrixInput input = new();
                input.Set(inputs, 1);
                matrix.Multiply(input, default, outputs, new ComputeOptions(1, Cpu.Default, BlockInputs: true));
                Assert.Equal(0, outputs[0]);
            }
        }
    }

    [Fact]
    public void Bytes_and_columns_that_do_not_fit_are_refused()
    {
        Assert.Throws<ArgumentException>(() => WeightMatrix.Ggml(GgmlType.Q4_K, 2, 256, TensorBytes.FromArray(new byte[287])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Ggml(GgmlType.Q4_K, 2, 128, TensorBytes.FromArray(new byte[144])));
    }

    /// <summary>Inputs of each token's own kind: small, large, mostly zero, with outliers, all equal.</summary>
    private static float Input(Random random, int token) => (token % 5) switch
    {
        0 => random.NextSingle() - 0.5f,
        1 => (random.NextSingle() - 0.5f) * 1000,
        2 => random.Next(20) == 0 ? random.NextSingle() : 0,
        3 => random.Next(50) == 0 ? -300 * random.NextSingle() : random.NextSingle() - 0.5f,
        _ => -1.5f,
    };

    /// <summary>The inputs after rounding as ggml's Q8_0 (blocks of 32, a binary16 scale) and Q8_K (256, the largest becomes -127) have it.</summary>
    private static double[] Rounded(GgmlFormat format, ReadOnlySpan<float> inputs)
    {
        double[] rounded = new double[inputs.Length];
        int size = format.BlockValues == 256 ? 256 : 32;
        for (int start = 0; start < inputs.Length; start += size)
        {
            float[] block = inputs.Slice(start, size).ToArray();
            float extreme = block.MaxBy(Math.Abs);
            float inverse = extreme == 0 ? 0 : size == 256 ? -127 / extreme : 127 / Math.Abs(extreme), scale = extreme == 0 ? 0 : size == 256 ? 1 / inverse : (float)(Half)(Math.Abs(extreme) / 127);
            for (int i = 0; i < size; i++)
            {
                rounded[start + i] = (double)scale * MathF.Round(block[i] * inverse);
            }
        }

        return rounded;
    }

    /// <summary>Blocks of random bits, whose scales are numbers of moderate size and either sign.</summary>
    private static byte[] RandomBlocks(GgmlFormat format, int rows, int columns, Random random)
    {
        byte[] blocks = new byte[rows * format.RowBytes(columns)];
        random.NextBytes(blocks);
        for (int start = 0; start < blocks.Length; start += format.BlockBytes)
        {
            foreach (int place in Scales(format))
            {
                BitConverter.TryWriteBytes(blocks.AsSpan(start + place), (Half)((random.NextSingle() - 0.5f) / 8));
            }

            switch (format.Type)
            {
                case GgmlType.Q8_K:
                    BitConverter.TryWriteBytes(blocks.AsSpan(start), random.NextSingle() - 0.5f);
                    break;
                case GgmlType.MXFP4:
                    blocks[start] = (byte)random.Next(120, 130);
                    break;
                case GgmlType.IQ1_M:
                    // The four top nibbles of the scales are a binary16.
                    int bits = BitConverter.HalfToUInt16Bits((Half)(random.NextSingle() - 0.5f));
                    for (int i = 0; i < 4; i++)
                    {
                        ref byte upper = ref blocks[start + 49 + (2 * i)];
                        upper = (byte)((upper & 15) | (((bits >> (4 * i)) & 15) << 4));
                    }

                    break;
            }
        }

        return blocks;
    }

    /// <summary>Where a block's binary16 scales and offsets are.</summary>
    private static int[] Scales(GgmlFormat format) => format.Type switch
    {
        GgmlType.Q4_1 or GgmlType.Q5_1 or GgmlType.Q4_K or GgmlType.Q5_K => [0, 2],
        GgmlType.Q2_K => [80, 82],
        GgmlType.Q3_K => [108],
        GgmlType.Q6_K => [208],
        GgmlType.TQ1_0 => [52],
        GgmlType.TQ2_0 => [64],
        GgmlType.Q8_K or GgmlType.MXFP4 or GgmlType.NVFP4 or GgmlType.IQ1_M => [],
        _ => [0],
    };
}

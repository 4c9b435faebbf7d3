using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Matrices;

public sealed class WeightMatrixTests
{
    // Sizes that divide nothing, and columns beyond one block of every kernel.
    public static TheoryData<ElementType?, int, int> Shapes => [.. new ElementType?[] { ElementType.F32, ElementType.F16, ElementType.BF16, null }
        .SelectMany(type => new (int, int)[] { (1, 1), (3, 63), (17, 64), (33, 65), (16, 200), (130, 129), (7, 2051), (5, 4500) }.Select(shape => (type, shape.Item1, shape.Item2)))];

    public static IEnumerable<ComputeOptions> Kernels => Cpu.Available.Select(set => new ComputeOptions(1, set))
        .Concat(ComputeOptions.HasBFloat16Dot ? [new ComputeOptions(1, InstructionSet.Avx512, BFloat16Inputs: true)] : []);

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Products_agree_with_binary64_and_do_not_depend_on_batch_or_threads(ElementType? type, int rows, int columns)
    {
        const int Tokens = 15;
        Random random = new(rows * columns);
        float[] weights = [.. Enumerable.Range(0, rows * columns).Select(_ => random.NextSingle() - 0.5f)];
        float[] inputs = [.. Enumerable.Range(0, Tokens * columns).Select(_ => (4 * random.NextSingle()) - 2)];
        float[] bias = [.. Enumerable.Range(0, rows).Select(_ => random.NextSingle())];
        WeightMatrix matrix = type is null ? Fp8(weights, rows, columns) : Dense(type.Value, weights, rows, columns);
        float[] stored = new float[rows * columns];
        matrix.Read(0, rows, stored, InstructionSet.Scalar);
        using MatrixInput input = new();
        foreach (ComputeOptions compute in Kernels)
        {
            float[] seen = compute.BFloat16Inputs && type == ElementType.BF16 ? [.. inputs.Select(BFloat16Of)] : inputs;
            float[] whole = new float[Tokens * rows];
            input.Set(inputs, Tokens);
            matrix.Multiply(input, bias, whole, compute);
            for (int token = 0; token < Tokens; token++)
            {
                for (int row = 0; row < rows; row++)
                {
                    double exact = bias[row], size = Math.Abs(bias[row]);
                    for (int column = 0; column < columns; column++)
                    {
                        double term = (double)seen[(token * columns) + column] * stored[(row * columns) + column];
                        (exact, size) = (exact + term, size + Math.Abs(term));
                    }

                    Assert.InRange(whole[(token * rows) + row], exact - (1e-6 * size), exact + (1e-6 * size));
                }
            }

            // Any number of tokens together gives each the bits it has alone.
            for (int first = 0, count = 1; first < Tokens; first += count, count = Math.Min(count + 1, Tokens - first))
            {
                float[] part = new float[count * rows];
                input.Set(inputs.AsMemory(first * columns, count * columns), count);
                matrix.Multiply(input, bias, part, compute with { Threads = 3 });
                Assert.Equal(whole[(first * rows)..((first + count) * rows)], part);
            }
        }
    }

    [Fact]
    public void Assembled_kernels_give_the_bits_of_the_intrinsics()
    {
        if (!Cpu.Available.Contains(InstructionSet.Avx512))
        {
            Assert.Skip("This CPU has no AVX-512.");
        }

        const int Rows = 4, Columns = 77;
        Random random = new(5);
        float[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(_ => random.NextSingle() - 0.5f)];
        float[] inputs = [.. Enumerable.Range(0, 6 * Columns).Select(_ => random.NextSingle() - 0.5f)];
        foreach (ElementType type in new[] { ElementType.F32, ElementType.F16, ElementType.BF16 })
        {
            WeightMatrix matrix = Dense(type, weights, Rows, Columns);
            float[] stored = new float[Rows * Columns], outputs = new float[6 * Rows];
            matrix.Read(0, Rows, stored, InstructionSet.Avx512);
            using MatrixInput input = new();
            input.Set(inputs, 6);
            matrix.Multiply(input, default, outputs, new ComputeOptions(1, InstructionSet.Avx512));
            for (int i = 0; i < outputs.Length; i++)
            {
                (int token, int row) = Math.DivRem(i, Rows);
                Assert.Equal(DotProduct.Of(inputs.AsSpan(token * Columns, Columns), stored.AsSpan(row * Columns, Columns), InstructionSet.Avx512), outputs[i]);
            }
        }
    }

    [Theory]
    [InlineData(128, 128, 300, 2051)]
    [InlineData(128, 128, 257, 1024)]
    [InlineData(32, 32, 70, 1500)]
    [InlineData(4, 16, 9, 47)]
    [InlineData(48, 80, 100, 2000)]
    [InlineData(7, 33, 30, 100)]
    public void Fp8_products_are_those_of_the_widened_codes_bit_for_bit_whatever_the_bytes(int blockRows, int blockColumns, int rows, int columns)
    {
        const int Tokens = 7;
        Random random = new(rows + columns);
        BlockShape block = new(blockRows, blockColumns);
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        foreach ((bool hostile, ElementType type) in from hostile in (bool[])[false, true] from type in (ElementType[])[ElementType.F32, ElementType.BF16, ElementType.F16] select (hostile, type))
        {
            byte[] codes = new byte[rows * columns], scales = new byte[gridRows * gridColumns * type.Bytes()];
            random.NextBytes(codes); // all 256 codes, NaN among them
            float[] factors = [.. Enumerable.Range(0, gridRows * gridColumns).Select(_ => hostile ? BitConverter.Int32BitsToSingle(random.Next()) : random.NextSingle())];
            ElementConversion.FromSingle(type, factors, scales);
            if (!hostile)
            {
                // NaN in a few rows only, so that there is something else to compare.
                for (int i = 0; i < codes.Length; i++)
                {
                    codes[i] = (codes[i] & 0x7F) == 0x7F && i / columns % 5 != 0 ? (byte)0 : codes[i];
                }
            }

            WeightMatrix matrix = WeightMatrix.Fp8(rows, columns, block, TensorBytes.FromArray(codes), type, TensorBytes.FromArray(scales));
            float[] inputs = [.. Enumerable.Range(0, Tokens * columns).Select(_ => random.NextSingle() - 0.5f)], stored = new float[rows * columns], outputs = new float[Tokens * rows];
            matrix.Read(0, rows, stored, InstructionSet.Scalar);
            using MatrixInput input = new();
            input.Set(inputs, Tokens);
            foreach (InstructionSet set in Cpu.Available)
            {
                matrix.Multiply(input, default, outputs, new ComputeOptions(2, set));
                for (int i = 0; i < outputs.Length; i++)
                {
                    (int token, int row) = Math.DivRem(i, rows);
                    Assert.Equal(DotProduct.Of(inputs.AsSpan(token * columns, columns), stored.AsSpan(row * columns, columns), set), outputs[i]);
                }
            }
        }
    }

    [Theory]
    [InlineData(float.NaN, 1f, float.NaN)]
    [InlineData(float.PositiveInfinity, 1f, float.PositiveInfinity)]
    [InlineData(float.PositiveInfinity, 0f, float.NaN)]
    [InlineData(float.NegativeInfinity, -2f, float.PositiveInfinity)]
    public void A_hostile_weight_shows_in_its_own_row_alone(float weight, float input, float expected)
    {
        const int Rows = 5, Columns = 35;
        foreach (ComputeOptions compute in Kernels)
        {
            foreach (ElementType type in new[] { ElementType.F32, ElementType.F16, ElementType.BF16 })
            {
                float[] weights = new float[Rows * Columns], inputs = [.. Enumerable.Repeat(input, 2 * Columns)], outputs = new float[2 * Rows];
                weights[(3 * Columns) - 1] = weight; // the last column of row 2: in the tail of every kernel
                using MatrixInput prepared = new();
                prepared.Set(inputs, 2);
                Dense(type, weights, Rows, Columns).Multiply(prepared, default, outputs, compute);
                Assert.Equal([0, 0, expected, 0, 0, 0, 0, expected, 0, 0], outputs);
            }
        }
    }

    [Fact]
    public void Rows_in_another_order_give_their_outputs_in_that_order_with_the_bias_of_their_new_place()
    {
        const int Rows = 9, Columns = 70, Tokens = 3;
        Random random = new(9);
        float[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(_ => random.NextSingle() - 0.5f)], inputs = [.. Enumerable.Range(0, Tokens * Columns).Select(_ => random.NextSingle())];
        float[] bias = [.. Enumerable.Range(0, Rows).Select(_ => random.NextSingle())];
        int[] order = [.. Enumerable.Range(0, Rows).OrderBy(_ => random.Next())];
        WeightMatrix stored = Dense(ElementType.F16, weights, Rows, Columns), matrix = WeightMatrix.Reordered(stored, order);
        float[] ordered = new float[Rows * Columns], all = new float[Rows * Columns];
        matrix.Read(0, Rows, ordered, Cpu.Default);
        stored.Read(0, Rows, all, Cpu.Default);
        Assert.Equal(order.SelectMany(row => all[(row * Columns)..((row + 1) * Columns)]), ordered);

        float[] expected = new float[Tokens * Rows], found = new float[Tokens * Rows];
        using MatrixInput input = new();
        input.Set(inputs, Tokens);
        Dense(ElementType.F32, ordered, Rows, Columns).Multiply(input, bias, expected, ComputeOptions.Default);
        matrix.Multiply(input, bias, found, ComputeOptions.Default);
        Assert.Equal(expected, found);
        Assert.Throws<ArgumentException>(() => WeightMatrix.Reordered(stored, [0, 1, 2, 3, 4, 5, 6, 7, 7]));
    }

    [Theory]
    [InlineData(32, false)]
    [InlineData(64, false)]
    [InlineData(128, false)]
    [InlineData(16, true)]
    [InlineData(16, false, true)]
    [InlineData(32, false, true)]
    [InlineData(128, false, true)]
    public void Groups_of_4_bit_codes_multiply_as_the_weights_that_they_decode_to(int group, bool isNvFp4, bool hasZeroPoints = false)
    {
        foreach (int columns in new[] { 1, 3, 5, 40 }.Select(groups => groups * group))
        {
            const int Rows = 13;
            GroupCase source = new(new Matrix(columns, Rows, columns, new BlockShape(1, group), ElementType.BF16, Content.Ordinary), isNvFp4, hasZeroPoints);
            byte[] bytes = source.Matrix.Bytes();
            float globalScale = source.GlobalScale(bytes);
            GroupEncoded encoded = source.Encode(bytes, WeightEncoder.Best);
            TensorBytes packed = TensorBytes.FromArray(encoded.Packed), scales = TensorBytes.FromArray(encoded.Scales);
            WeightMatrix matrix = isNvFp4 ? WeightMatrix.NvFp4(Rows, columns, packed, scales, globalScale) : WeightMatrix.Int4(Rows, columns, group, packed, ElementType.BF16, scales, hasZeroPoints ? TensorBytes.FromArray(encoded.ZeroPoints) : null);
            float[] weights = source.Decode(encoded, globalScale), inputs = [.. Enumerable.Range(0, 7 * columns).Select(i => MathF.Sin(i))];
            WeightMatrix dense = Dense(ElementType.F32, weights, Rows, columns);
            foreach (InstructionSet set in Sets.All)
            {
                float[] read = new float[weights.Length], expected = new float[7 * Rows], found = new float[7 * Rows];
                matrix.Read(0, Rows, read, set);
                Assert.Equal(weights, read);
                matrix.Read(5, 6, read.AsSpan(0, 6 * columns), set); // from the middle of a word of zero points into the next
                Assert.Equal(weights[(5 * columns)..(11 * columns)], read[..(6 * columns)]);
                using MatrixInput input = new();
                input.Set(inputs, 7);
                dense.Multiply(input, default, expected, new ComputeOptions(2, set));
                matrix.Multiply(input, default, found, new ComputeOptions(2, set));
                Assert.Equal(expected, found);

                // Inputs of 8 bits: half a step of 127 for each product at most.
                matrix.Multiply(input, default, found, new ComputeOptions(2, set, BlockInputs: true));
                for (int i = 0; i < found.Length; i++)
                {
                    double bound = 0.006 * weights.AsSpan(i % Rows * columns, columns).ToArray().Sum(Math.Abs);
                    Assert.True(Math.Abs(found[i] - expected[i]) <= bound, $"{set}, {columns} columns: {found[i]} for {expected[i]}, bound {bound}");
                }

                // What a scheme has quantized is not rounded again.
                InputQuantization scheme = new InputQuantization.NvFp4(100);
                dense.Multiply(input.Quantized(scheme, new ComputeOptions(2, set)), default, expected, new ComputeOptions(2, set));
                matrix.Multiply(input.Quantized(scheme, new ComputeOptions(2, set)), default, found, new ComputeOptions(2, set, BlockInputs: true));
                Assert.Equal(expected, found);
            }
        }
    }

    [Fact]
    public void Bytes_that_do_not_fit_the_shape_are_refused()
    {
        Assert.Throws<ArgumentException>(() => WeightMatrix.Dense(ElementType.BF16, 2, 3, TensorBytes.FromArray(new byte[11])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Dense(ElementType.I32, 2, 3, TensorBytes.FromArray(new byte[24])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Fp8(2, 3, new BlockShape(2, 2), TensorBytes.FromArray(new byte[6]), ElementType.BF16, TensorBytes.FromArray(new byte[2])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Int4(2, 64, 32, TensorBytes.FromArray(new byte[63]), ElementType.BF16, TensorBytes.FromArray(new byte[8])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Int4(2, 64, 24, TensorBytes.FromArray(new byte[64]), ElementType.BF16, TensorBytes.FromArray(new byte[8])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Int4(2, 64, 32, TensorBytes.FromArray(new byte[64]), ElementType.BF16, TensorBytes.FromArray(new byte[8]), TensorBytes.FromArray(new byte[4])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.NvFp4(2, 32, TensorBytes.FromArray(new byte[32]), TensorBytes.FromArray(new byte[3]), 1));
    }

    private static float BFloat16Of(float value) => BFloat16.Round(value);

    private static WeightMatrix Dense(ElementType type, float[] weights, int rows, int columns)
    {
        byte[] bytes = new byte[weights.Length * type.Bytes()];
        ElementConversion.FromSingle(type, weights, bytes);
        return WeightMatrix.Dense(type, rows, columns, TensorBytes.FromArray(bytes));
    }

    private static WeightMatrix Fp8(float[] weights, int rows, int columns)
    {
        BlockShape block = new(32, 48);
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        byte[] source = new byte[weights.Length * 2], codes = new byte[weights.Length], scales = new byte[gridRows * gridColumns * 2];
        ElementConversion.FromSingle(ElementType.BF16, weights, source);
        Fp8Block.Encode(WeightEncoder.Library, ElementType.BF16, source, rows, columns, block, codes, scales, new QuantizationError[gridRows], []);
        return WeightMatrix.Fp8(rows, columns, block, TensorBytes.FromArray(codes), ElementType.BF16, TensorBytes.FromArray(scales));
    }
}

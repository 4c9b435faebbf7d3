using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Tests.Matrices;

public sealed class WeightMatrixTests
{
    public static TheoryData<ElementType?, int, int> Shapes => [.. new ElementType?[] { ElementType.F32, ElementType.F16, ElementType.BF16, null }
        .SelectMany(type => new (int, int)[] { (1, 1), (3, 63), (17, 64), (33, 65), (16, 200), (130, 129) }.Select(shape => (type, shape.Item1, shape.Item2)))];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Products_agree_with_binary64_and_do_not_depend_on_batch_or_threads(ElementType? type, int rows, int columns)
    {
        const int Tokens = 5;
        Random random = new(rows * columns);
        float[] weights = [.. Enumerable.Range(0, rows * columns).Select(_ => random.NextSingle() - 0.5f)];
        float[] inputs = [.. Enumerable.Range(0, Tokens * columns).Select(_ => (4 * random.NextSingle()) - 2)];
        float[] bias = [.. Enumerable.Range(0, rows).Select(_ => random.NextSingle())];
        WeightMatrix matrix = type is null ? Fp8(weights, rows, columns) : Dense(type.Value, weights, rows, columns);
        foreach (InstructionSet set in Cpu.Available)
        {
            float[] stored = new float[rows * columns];
            matrix.Read(0, rows, stored, set);
            float[] whole = new float[Tokens * rows];
            matrix.Multiply(inputs, Tokens, bias, whole, new ComputeOptions(1, set));
            for (int token = 0; token < Tokens; token++)
            {
                for (int row = 0; row < rows; row++)
                {
                    double exact = bias[row], size = Math.Abs(bias[row]);
                    for (int column = 0; column < columns; column++)
                    {
                        double term = (double)inputs[(token * columns) + column] * stored[(row * columns) + column];
                        (exact, size) = (exact + term, size + Math.Abs(term));
                    }

                    Assert.InRange(whole[(token * rows) + row], exact - (1e-6 * size), exact + (1e-6 * size));
                }
            }

            for (int token = 0; token < Tokens; token++)
            {
                float[] alone = new float[rows];
                matrix.Multiply(inputs.AsMemory(token * columns, columns), 1, bias, alone, new ComputeOptions(3, set));
                Assert.Equal(whole[(token * rows)..((token + 1) * rows)], alone);
            }
        }
    }

    [Fact]
    public void Bytes_that_do_not_fit_the_shape_are_refused()
    {
        Assert.Throws<ArgumentException>(() => WeightMatrix.Dense(ElementType.BF16, 2, 3, TensorBytes.FromArray(new byte[11])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Dense(ElementType.I32, 2, 3, TensorBytes.FromArray(new byte[24])));
        Assert.Throws<ArgumentException>(() => WeightMatrix.Fp8(2, 3, new BlockShape(2, 2), TensorBytes.FromArray(new byte[6]), ElementType.BF16, TensorBytes.FromArray(new byte[2])));
    }

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
        Fp8Block.Encode(Fp8Encoder.Library, ElementType.BF16, source, rows, columns, block, codes, scales, new QuantizationError[gridRows], []);
        return WeightMatrix.Fp8(rows, columns, block, TensorBytes.FromArray(codes), ElementType.BF16, TensorBytes.FromArray(scales));
    }
}

using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

/// <summary>The library's encoder against its four rules, written here once more without anything of the code under test.</summary>
public sealed class Fp8BlockDefinitionTests
{
    [Fact]
    public void The_library_encoder_follows_its_definition_on_any_matrix() =>
        Law.Holds(
            Matrix.Any(mostRows: 60, mostColumns: 100, largestSide: 70),
            matrix => FollowsTheDefinition(matrix, matrix.Bytes(), InstructionSet.Scalar),
            runs: 150);

    [Theory]
    [InlineData(ElementType.BF16)]
    [InlineData(ElementType.F16)]
    [InlineData(ElementType.F32)]
    public void Quotients_at_and_beside_every_midpoint_of_e4m3_get_the_code_of_the_definition(ElementType type)
    {
        // Row: a first weight that makes the scale, then scale * midpoint and its neighbours in T.
        const int Rows = 256, Columns = 1 + (126 * 5);
        Matrix matrix = new(0, Rows, Columns, new BlockShape(1, Columns), type, Content.Ordinary);
        float[] values = new float[Rows * Columns];
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int row = 0; row < Rows; row++)
        {
            float scale = (1 + (row / 256f) + (type == ElementType.BF16 ? 0 : random.NextSingle() / 300)) / 16;
            for (int column = 0; column < Columns; column++)
            {
                int code = (column - 1) / 5;
                float midpoint = (float)(NearestEven.Value(code, 4, 3, infinities: false) + NearestEven.Value(code + 1, 4, 3, infinities: false)) / 2;
                values[(row * Columns) + column] = column == 0 ? 448 * scale : midpoint * scale * (column % 2 == 0 ? -1 : 1);
            }
        }

        byte[] bytes = new byte[values.Length * type.Bytes()];
        ElementConversion.FromSingle(type, values, bytes, InstructionSet.Scalar);
        for (int i = 0; i < values.Length; i++)
        {
            if (i % Columns > 0)
            {
                Step(bytes.AsSpan(i * type.Bytes(), type.Bytes()), ((i % Columns) - 1) % 5 - 2);
            }
        }

        foreach (InstructionSet set in Sets.All)
        {
            FollowsTheDefinition(matrix with { Seed = seed }, bytes, set);
        }
    }

    private static void FollowsTheDefinition(Matrix matrix, byte[] bytes, InstructionSet set)
    {
        Encoded encoded = Encoded.From(matrix, bytes, WeightEncoder.Library, set);
        double[] weights = matrix.Values(bytes), scales = matrix.Values(encoded.Scales), largest = new double[scales.Length];
        for (int i = 0; i < weights.Length; i++)
        {
            largest[BlockOf(matrix, i)] = Math.Max(largest[BlockOf(matrix, i)], Math.Abs(weights[i]));
        }

        for (int block = 0; block < scales.Length; block++)
        {
            double scale = RoundTo(matrix.Type, (float)(largest[block] / 448));
            double expected = scale > 0 ? scale : Math.ScaleB(1, matrix.Type switch { ElementType.BF16 => -7, ElementType.F16 => -10, _ => -23 });
            Assert.True(expected == scales[block], $"{matrix}, {set}: scale {block} is {scales[block]:R}, expected {expected:R}");
        }

        for (int i = 0; i < weights.Length; i++)
        {
            double quotient = RoundTo(matrix.Type, (float)(weights[i] / scales[BlockOf(matrix, i)]));
            double expected = NearestEven.ToE4M3(quotient), actual = NearestEven.Value(encoded.Codes[i], 4, 3, infinities: false);
            Assert.True(NearestEven.Same(expected, actual), $"{matrix}, {set}: {weights[i]:R} with scale {scales[BlockOf(matrix, i)]:R} became {actual:R}, expected {expected:R}");
        }
    }

    private static int BlockOf(Matrix matrix, int element) =>
        (element / matrix.Columns / matrix.Block.Rows * matrix.Grid.Columns) + (element % matrix.Columns / matrix.Block.Columns);

    private static double RoundTo(ElementType type, float value) => type switch
    {
        ElementType.BF16 => NearestEven.ToBFloat16(value),
        ElementType.F16 => NearestEven.ToHalf(value),
        _ => value,
    };

    /// <summary>Moves an element by some units in its last place.</summary>
    private static void Step(Span<byte> element, int units)
    {
        if (element.Length == 4)
        {
            BitConverter.TryWriteBytes(element, BitConverter.ToInt32(element) + units);
        }
        else
        {
            BitConverter.TryWriteBytes(element, (short)(BitConverter.ToInt16(element) + units));
        }
    }
}

using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

public sealed class Fp8BlockRefusalTests
{
    private static readonly ElementType[] WeightTypes = [ElementType.BF16, ElementType.F16, ElementType.F32];

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void A_weight_that_is_not_finite_is_named_by_row_column_and_value(InstructionSet set)
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int run = 0; run < 300; run++)
        {
            Matrix matrix = new(
                random.Next(), random.Next(1, 70), random.Next(1, 70), new BlockShape(random.Next(1, 40), random.Next(1, 40)),
                WeightTypes[run % 3], Content.Ordinary);
            float bad = (run % 4) switch { 0 => float.NaN, 1 => float.PositiveInfinity, 2 => float.NegativeInfinity, _ => -float.NaN };
            int row = random.Next(matrix.Rows), column = random.Next(matrix.Columns);
            byte[] weights = matrix.Bytes();
            int size = matrix.Type.Bytes();
            ElementConversion.FromSingle(matrix.Type, [bad], weights.AsSpan(((row * matrix.Columns) + column) * size, size));

            WeightEncoder encoder = random.Next(2) == 0 ? WeightEncoder.Library : WeightEncoder.Best;
            NonFiniteWeightException refusal = Assert.Throws<NonFiniteWeightException>(() => Encoded.From(matrix, weights, encoder, set));
            Assert.True((row, column) == (refusal.Row, refusal.Column), $"seed {seed}: {matrix}: ({row}, {column}) reported as ({refusal.Row}, {refusal.Column})");
            Assert.Equal(bad, refusal.Value);
            Assert.Contains($"row {row}, column {column}", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(-1, 0, 0, 0, 0, "weights")]
    [InlineData(1, 0, 0, 0, 0, "weights")]
    [InlineData(0, -1, 0, 0, 0, "codes")]
    [InlineData(0, 1, 0, 0, 0, "codes")]
    [InlineData(0, 0, -1, 0, 0, "scales")]
    [InlineData(0, 0, 1, 0, 0, "scales")]
    [InlineData(0, 0, 0, -1, 0, "errors")]
    [InlineData(0, 0, 0, 1, 0, "errors")]
    [InlineData(0, 0, 0, 0, -1, "libraryErrors")]
    [InlineData(0, 0, 0, 0, 1, "libraryErrors")]
    public void A_span_that_is_too_long_or_too_short_is_refused_by_name(int weights, int codes, int scales, int errors, int libraryErrors, string parameter)
    {
        ArgumentException refusal = Assert.Throws<ArgumentException>(() => Fp8Block.Encode(
            WeightEncoder.Best, ElementType.BF16, new byte[(5 * 7 * 2) + weights], 5, 7, new BlockShape(2, 4),
            new byte[35 + codes], new byte[(3 * 2 * 2) + scales], new QuantizationError[3 + errors], new QuantizationError[3 + libraryErrors]));
        Assert.Equal(parameter, refusal.ParamName);
    }

    [Fact]
    public void The_library_encoder_takes_no_room_for_the_librarys_loss() =>
        Assert.Equal("libraryErrors", Assert.Throws<ArgumentException>(() => Fp8Block.Encode(
            WeightEncoder.Library, ElementType.BF16, new byte[8], 2, 2, new BlockShape(2, 2),
            new byte[4], new byte[2], new QuantizationError[1], new QuantizationError[1])).ParamName);

    [Theory]
    [InlineData(1, 0, 0)]
    [InlineData(0, 1, 0)]
    [InlineData(0, 0, 1)]
    [InlineData(0, 0, -1)]
    public void Decoding_refuses_lengths_that_do_not_fit(int codes, int scales, int weights) =>
        Assert.Throws<ArgumentException>(() => Fp8Block.Decode(
            ElementType.F32, new byte[35 + codes], new byte[(3 * 2 * 4) + scales], 5, 7, new BlockShape(2, 4), new float[35 + weights]));

    [Theory]
    [InlineData(0, 4, 2, 2)]
    [InlineData(4, 0, 2, 2)]
    [InlineData(-4, 4, 2, 2)]
    [InlineData(4, 4, 0, 2)]
    [InlineData(4, 4, 2, -1)]
    public void Empty_and_negative_shapes_are_refused(int rows, int columns, int blockRows, int blockColumns) =>
        Assert.Throws<ArgumentException>(() => Fp8Block.Encode(
            WeightEncoder.Library, ElementType.BF16, [], rows, columns, new BlockShape(blockRows, blockColumns), [], [], [], []));

    [Fact]
    public void A_type_that_is_no_weight_type_is_refused_by_name()
    {
        foreach (ElementType type in Enum.GetValues<ElementType>().Except(WeightTypes))
        {
            ArgumentException refusal = Assert.Throws<ArgumentException>(() => Fp8Block.Decode(
                type, new byte[4], new byte[type.Bytes()], 2, 2, new BlockShape(2, 2), new float[4]));
            Assert.Contains(type.SafetensorsName(), refusal.Message, StringComparison.Ordinal);
        }
    }
}

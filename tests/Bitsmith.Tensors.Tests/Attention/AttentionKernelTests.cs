using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Attention;

public sealed class AttentionKernelTests
{
    private static readonly float[] Poison = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue];

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Outputs_agree_with_binary64_on_the_stored_keys_and_values(InstructionSet set) => Law.Holds(AttentionCase.Any, @case =>
    {
        float[] queries = @case.Queries;
        double[] exact = @case.Reference(queries, @case.Rounded(@case.Keys), @case.Rounded(@case.StoredValues));
        float[] actual = @case.Run(queries, @case.Keys, @case.StoredValues, set);

        // Scores of this size are off by their rounding, and a weight by as much relative to itself; outputs are means of values.
        double score = Math.Sqrt(@case.HeadDim) * @case.Spread * @case.Spread, tolerance = @case.Spread * (2e-6 + (1e-6 * score));
        for (int i = 0; i < exact.Length; i++)
        {
            Assert.True(Math.Abs(exact[i] - actual[i]) <= tolerance, $"output {i}: {actual[i]:R}, not {exact[i]:R}");
        }
    }, runs: 60);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Any_part_of_the_tokens_alone_gives_the_bits_of_the_whole(InstructionSet set) => Law.Holds(AttentionCase.Any, @case =>
    {
        (float[] queries, float[] keys, float[] values) = (@case.Queries, @case.Keys, @case.StoredValues);
        float[] whole = @case.Run(queries, keys, values, set);
        int cut = @case.Seed % @case.Tokens;
        Assert.Equal(whole[..(cut * @case.Row)], cut == 0 ? [] : @case.Run(queries, keys, values, set, 0, cut));
        Assert.Equal(whole[(cut * @case.Row)..], @case.Run(queries, keys, values, set, cut));
        Assert.Equal(whole[(cut * @case.Row)..((cut + 1) * @case.Row)], @case.Run(queries, keys, values, set, cut, 1));
    }, runs: 60);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void A_head_alone_gives_the_bits_it_has_among_others(InstructionSet set) => Law.Holds(AttentionCase.Any, @case =>
    {
        float[] whole = @case.Run(@case.Queries, @case.Keys, @case.StoredValues, set);
        AttentionCase single = @case with { Heads = 1 };
        int head = @case.Seed % @case.Heads;
        float[] queries = [.. @case.Queries.Chunk(@case.HeadDim).Where((_, row) => row % @case.Heads == head).SelectMany(row => row)];
        float[] expected = [.. whole.Chunk(@case.HeadDim).Where((_, row) => row % @case.Heads == head).SelectMany(row => row)];
        Assert.Equal(expected, single.Run(queries, @case.Keys, @case.StoredValues, set));
    }, runs: 40);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void What_lies_behind_the_last_visible_position_changes_no_bit(InstructionSet set) => Law.Holds(AttentionCase.Any, generated =>
    {
        AttentionCase @case = generated with { Causal = true };
        (float[] queries, float[] keys, float[] values) = (@case.Queries, @case.Keys, @case.StoredValues);
        float[] clean = @case.Run(queries, keys, values, set);
        int token = @case.Seed % @case.Tokens, first = @case.VisibleTo(token) * @case.HeadDim;
        for (int i = first; i < keys.Length; i++)
        {
            keys[i] = Poison[i % Poison.Length];
            values[i] = Poison[(i + 1) % Poison.Length];
        }

        Assert.Equal(clean[..((token + 1) * @case.Row)], @case.Run(queries, keys, values, set)[..((token + 1) * @case.Row)]);
    }, runs: 60);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void A_single_position_gives_its_value_exactly(InstructionSet set)
    {
        AttentionCase @case = new(3, 1, 4, 37, 0, true, ElementType.F32, 2);
        float[] outputs = @case.Run(@case.Queries, @case.Keys, @case.StoredValues, set);
        Assert.All(outputs.Chunk(37), row => Assert.Equal(@case.StoredValues, row));
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Scores_of_minus_infinity_weigh_nothing_and_visible_nan_spoils_its_query_alone(InstructionSet set)
    {
        // One channel: a key of -∞ and a query of 1 score -∞. The first 70 positions, more than a block, are such.
        AttentionCase @case = new(5, 4, 1, 1, 70, true, ElementType.F32, 1);
        float[] keys = [.. Enumerable.Range(0, 74).Select(position => position < 70 ? float.NegativeInfinity : 0)];
        float[] values = [.. Enumerable.Range(0, 74).Select(position => position < 70 ? 5f : position - 69)];
        Assert.Equal([1, 1.5f, 2, 2.5f], @case.Run([1, 1, 1, 1], keys, values, set));

        keys[72] = float.NaN;
        Assert.Equal([1, 1.5f, float.NaN, float.NaN], @case.Run([1, 1, 1, 1], keys, values, set));
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Nothing_is_allocated(InstructionSet set)
    {
        AttentionCase @case = new(7, 20, 3, 40, 100, true, ElementType.BF16, 1);
        float[] queries = @case.Queries, outputs = new float[queries.Length], scratch = new float[AttentionKernel.ScratchFloats(60, 40, ElementType.BF16)];
        (byte[] keys, byte[] values) = @case.Store(@case.Keys, @case.StoredValues, set);
        AttentionShape shape = new(20, 3, 40, 120, 120, 101, true);
        AttentionKernel.Attend(shape, queries, @case.Type, keys, values, outputs, scratch, set);
        long before = GC.GetAllocatedBytesForCurrentThread();
        AttentionKernel.Attend(shape, queries, @case.Type, keys, values, outputs, scratch, set);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Shapes_and_types_that_do_not_fit_are_refused()
    {
        AttentionShape shape = new(2, 2, 8, 16, 16, 3, true);
        int scratch = AttentionKernel.ScratchFloats(shape.Rows, 8, ElementType.F32), keys = 16 * 8 * 4, values = 4 * 16 * 4;
        Run(shape, 32, keys, values, 32, scratch);
        Assert.Throws<ArgumentException>(() => Run(shape, 31, keys, values, 32, scratch));
        Assert.Throws<ArgumentException>(() => Run(shape, 32, keys - 1, values, 32, scratch));
        Assert.Throws<ArgumentException>(() => Run(shape, 32, keys, values - 1, 32, scratch));
        Assert.Throws<ArgumentException>(() => Run(shape, 32, keys, values, 31, scratch));
        Assert.Throws<ArgumentException>(() => Run(shape, 32, keys, values, 32, scratch - 1));
        Assert.Throws<ArgumentException>(() => Run(shape with { Visible = 0 }, 32, keys, values, 32, scratch));
        Assert.Throws<ArgumentException>(() => Run(shape with { QueryStride = 15 }, 32, keys, values, 32, scratch));
        ArgumentException refusal = Assert.Throws<ArgumentException>(() => Run(shape, 32, keys, values, 32, scratch, ElementType.I8));
        Assert.Contains("F32, BF16, F16 and F8_E4M3", refusal.Message, StringComparison.Ordinal);
    }

    private static void Run(AttentionShape shape, int queries, int keys, int values, int outputs, int scratch, ElementType type = ElementType.F32) =>
        AttentionKernel.Attend(shape, new float[queries], type, new byte[keys], new byte[values], new float[outputs], new float[scratch], Cpu.Default);
}

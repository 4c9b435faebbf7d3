using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class CandidateSumsTests
{
    private const int Width = CandidateSums.Width;

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_instruction_set_gives_the_bits_of_the_scalar_sums(InstructionSet set) => Law.Holds(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        (float[] values, float[] weights, float[] scales, float[] offsets) = Case(seed);
        Assert.Equal(Sums(InstructionSet.Scalar), Sums(set));

        uint[] Sums(InstructionSet which) => [.. Compute(values, weights, scales, offsets, which).Select(BitConverter.SingleToUInt32Bits)];
    }, 50);

    [Fact]
    public void The_sums_are_those_of_the_definition() => Law.Holds(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        (float[] values, float[] weights, float[] scales, float[] offsets) = Case(seed);
        float[] sums = Compute(values, weights, scales, offsets, InstructionSet.Scalar);
        for (int lane = 0; lane < Width; lane++)
        {
            double[] expected = new double[5], magnitudes = new double[5];
            for (int i = 0; i < values.Length; i++)
            {
                double q = Math.Clamp(MathF.Round((values[i] - offsets[lane]) * HalfScale.Inverse(scales[lane])), -8, 7), w = weights[i];
                double e = values[i] - ((scales[lane] * q) + offsets[lane]);
                double[] terms = [w * e * e, w * e, w * e * q, w * q, w * q * q];
                for (int term = 0; term < 5; term++)
                {
                    expected[term] += terms[term];
                    magnitudes[term] += Math.Abs(terms[term]) + 1e-3;
                }
            }

            for (int term = 0; term < 5; term++)
            {
                Assert.InRange(sums[(term * Width) + lane], expected[term] - (1e-4 * magnitudes[term]), expected[term] + (1e-4 * magnitudes[term]));
            }
        }
    }, 20);

    private static (float[] Values, float[] Weights, float[] Scales, float[] Offsets) Case(int seed)
    {
        Random random = new(seed);
        float[] scales = Draw(Width, 0.3f), offsets = Draw(Width, 0.2f);
        scales[3] = 0;
        return (Draw(random.Next(1, 40), 2), [.. Draw(40, 1).Select(Math.Abs)], scales, offsets);

        float[] Draw(int count, float size) => [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() - 0.5) * 2 * size)];
    }

    private static float[] Compute(float[] values, float[] weights, float[] scales, float[] offsets, InstructionSet set)
    {
        float[] sums = new float[5 * Width];
        CandidateSums.Compute(
            values, weights, scales, offsets, -8, 7, sums.AsSpan(0, Width), sums.AsSpan(Width, Width), sums.AsSpan(2 * Width, Width),
            sums.AsSpan(3 * Width, Width), sums.AsSpan(4 * Width, Width), set);
        return sums;
    }
}

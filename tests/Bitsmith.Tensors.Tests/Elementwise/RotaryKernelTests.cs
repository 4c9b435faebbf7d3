using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Elementwise;

public sealed class RotaryKernelTests
{
    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Each_pair_turns_by_its_angle_and_other_channels_stay_bit_for_bit(InstructionSet set) => Law.Holds(AnyCase, @case =>
    {
        Random random = new(@case.Seed);
        float[] heads = [.. Enumerable.Range(0, @case.Heads * @case.HeadDim).Select(_ => random.NextSingle() - 0.5f)];
        float[] angles = [.. Enumerable.Range(0, @case.Pairs).Select(_ => 100 * random.NextSingle())];
        float[] cosines = [.. angles.Select(MathF.Cos)], sines = [.. angles.Select(MathF.Sin)], halves = [.. heads], interleaved = [.. heads];
        RotaryKernel.Halves(halves, @case.HeadDim, cosines, sines, set);
        RotaryKernel.Interleaved(interleaved, @case.HeadDim, cosines, sines, set);
        Assert.Equal(Turned(i => (i, i + @case.Pairs)), halves);
        Assert.Equal(Turned(i => (2 * i, (2 * i) + 1)), interleaved);

        float[] Turned(Func<int, (int, int)> pair)
        {
            float[] expected = [.. heads];
            for (int start = 0; start < heads.Length; start += @case.HeadDim)
            {
                for (int i = 0; i < @case.Pairs; i++)
                {
                    (int a, int b) = pair(i);
                    expected[start + a] = (heads[start + a] * cosines[i]) - (heads[start + b] * sines[i]);
                    expected[start + b] = (heads[start + b] * cosines[i]) + (heads[start + a] * sines[i]);
                }
            }

            return expected;
        }
    }, runs: 150);

    [Fact]
    public void Angles_that_do_not_fit_the_heads_are_refused()
    {
        Assert.Throws<ArgumentException>(() => RotaryKernel.Halves(new float[8], 4, new float[3], new float[3], Cpu.Default));
        Assert.Throws<ArgumentException>(() => RotaryKernel.Interleaved(new float[8], 4, new float[2], new float[1], Cpu.Default));
        Assert.Throws<ArgumentException>(() => RotaryKernel.Interleaved(new float[7], 4, new float[2], new float[2], Cpu.Default));
    }

    private static Arbitrary<Case> AnyCase => Arb.From(
        from seed in Gen.Choose(0, int.MaxValue)
        from heads in Gen.Choose(1, 5)
        from pairs in Gen.Choose(1, 150)
        from rest in Gen.Choose(0, 40)
        select new Case(seed, heads, pairs, (2 * pairs) + rest));

    private sealed record Case(int Seed, int Heads, int Pairs, int HeadDim);
}

using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Elementwise;

public sealed class DistributionKernelTests
{
    [Fact]
    public void Sums_and_extremes_are_those_of_binary64_on_every_instruction_set() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            Random random = new(seed);
            float[] x = Values(random), y = [.. x.Select(value => value + random.NextSingle())];
            float a = x.Max(), b = y.Max(), limit = random.Next(2) == 0 ? float.NegativeInfinity : -16;
            double[] powers = [.. x.Select(value => Math.Exp((double)value - a))];
            int[] counted = [.. Enumerable.Range(0, x.Length).Where(i => x[i] - a > limit)];
            double weights = counted.Sum(i => powers[i]), differences = counted.Sum(i => powers[i] * ((double)x[i] - a - ((double)y[i] - b)));
            foreach (InstructionSet set in Cpu.Available)
            {
                Assert.Equal((a, x.Min()), (DistributionKernels.Largest(x, set), DistributionKernels.Smallest(x, set)));
                Assert.Equal(powers.Sum(), DistributionKernels.PowerSum(x, a, set), 1e-5 * powers.Sum());
                (double foundWeights, double foundDifferences) = DistributionKernels.WeightedDifferences(x, a, y, b, limit, set);
                Assert.Equal(weights, foundWeights, 1e-5 * powers.Sum());
                Assert.Equal(differences, foundDifferences, 1e-5 * powers.Sum());
            }

            Assert.Equal(Array.IndexOf(x, a), DistributionKernels.PlaceOf(a, x));
        }).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(100));

    [Fact]
    public void Steps_are_the_same_on_every_instruction_set_and_lead_back_to_within_half_a_step() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            float[] x = Values(new Random(seed));
            float largest = x.Max(), least = Math.Max(x.Min(), largest - 16), scale = (largest - least) / ushort.MaxValue;
            if (scale == 0)
            {
                return;
            }

            ushort[] expected = new ushort[x.Length];
            DistributionKernels.ToSteps(x, least, 1 / scale, expected, InstructionSet.Scalar);
            Assert.Equal(ushort.MaxValue, expected.Max());
            foreach (InstructionSet set in Cpu.Available)
            {
                ushort[] steps = new ushort[x.Length];
                float[] back = new float[x.Length];
                DistributionKernels.ToSteps(x, least, 1 / scale, steps, set);
                Assert.Equal(expected, steps);
                DistributionKernels.FromSteps(steps, scale, least, back, set);
                Assert.Equal([.. steps.Select(step => (float)(scale * step) + least)], back);
                Assert.All(Enumerable.Range(0, x.Length), i => Assert.InRange(back[i] - Math.Max(x[i], least), (-0.51f * scale) - 1e-5f, (0.51f * scale) + 1e-5f));
            }
        }).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(100));

    [Fact]
    public void What_is_not_finite_shows_in_the_sums_and_minus_infinity_counts_nothing()
    {
        foreach (InstructionSet set in Cpu.Available)
        {
            foreach (int place in (int[])[0, 15, 16, 32, 35])
            {
                float[] x = new float[36];
                x[place] = float.NaN;
                Assert.True(double.IsNaN(DistributionKernels.PowerSum(x, 0, set)));
                Assert.True(double.IsNaN(DistributionKernels.WeightedDifferences(x, 0, new float[36], 0, float.NegativeInfinity, set).Weights));
                Assert.True(double.IsNaN(DistributionKernels.WeightedDifferences(new float[36], 0, x, 0, float.NegativeInfinity, set).Differences));
                x[place] = float.NegativeInfinity;
                Assert.Equal((35, 35), (DistributionKernels.PowerSum(x, 0, set), DistributionKernels.WeightedDifferences(x, 0, x, 0, float.NegativeInfinity, set).Weights));
                Assert.Equal(0, DistributionKernels.WeightedDifferences(x, 0, new float[36], 0, float.NegativeInfinity, set).Differences);
            }
        }
    }

    [Fact]
    public void Of_equal_values_the_first_is_found_whatever_the_sign_of_zero()
    {
        Assert.Equal(1, DistributionKernels.PlaceOf(0f, [-1, -0f, 0f]));
        Assert.Equal(1, DistributionKernels.PlaceOf(-0f, [-1, 0f, -0f]));
        Assert.Equal(2, DistributionKernels.PlaceOf(3, [1, 2, 3, 3]));
    }

    private static float[] Values(Random random) => [.. Enumerable.Range(0, random.Next(1, 100)).Select(_ => (random.NextSingle() - 0.5f) * 60)];
}

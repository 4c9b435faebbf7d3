using Bitsmith.Quantization.Calibration.Awq;
using Bitsmith.Quantization.Formats;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Awq;

public sealed class AwqClipTests
{
    private const int Rows = 37, Columns = 192, Group = 64, Groups = Columns / Group;

    private static readonly StorageFormat Format = new Int4GroupFormat(Group);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Each_group_gets_the_limit_of_least_loss_among_ten(bool isScaled)
    {
        (float[] weights, SecondMoments moments) = Case();
        using (moments)
        {
            float[] factors = isScaled ? [.. Enumerable.Range(0, Columns).Select(i => 0.25f + (i % 7))] : [];
            float[] limited = [.. weights];
            AwqClip.Limit(limited, factors, moments, Format, ElementType.BF16, 1, new ComputeOptions(1, Cpu.Default));
            int clipped = 0;
            for (int group = 0; group < Rows * Groups; group++)
            {
                float[] wanted = weights[(group * Group)..((group + 1) * Group)], found = limited[(group * Group)..((group + 1) * Group)];
                float[][] candidates = [.. Enumerable.Range(0, 10).Select(step => Limited(wanted, step))];
                double[] losses = [.. candidates.Select(candidate => Loss(wanted, candidate, factors, moments, group % Groups * Group))];
                int chosen = Array.FindIndex(candidates, candidate => candidate.SequenceEqual(found));
                Assert.InRange(chosen, 0, 9);
                Assert.Equal(losses.Min(), losses[chosen], 1e-6 * losses.Max());
                clipped += chosen > 0 ? 1 : 0;
            }

            Assert.InRange(clipped, 1, (Rows * Groups) - 1);
            float[] threads = [.. weights];
            AwqClip.Limit(threads, factors, moments, Format, ElementType.BF16, 1, new ComputeOptions(3, Cpu.Default));
            Assert.Equal(limited, threads);
        }
    }

    [Fact]
    public void Zeros_stay_zeros_and_what_cannot_be_limited_is_refused()
    {
        (_, SecondMoments moments) = Case();
        using (moments)
        {
            float[] zeros = new float[2 * Columns];
            AwqClip.Limit(zeros, default, moments, Format, ElementType.BF16, 1, ComputeOptions.Default);
            Assert.All(zeros, weight => Assert.Equal(0, weight));
            Assert.Throws<ArgumentException>(() => AwqClip.Limit(new float[Columns + 1], default, moments, Format, ElementType.BF16, 1, ComputeOptions.Default));
            Assert.Throws<ArgumentException>(() => AwqClip.Limit(zeros, new float[3], moments, Format, ElementType.BF16, 1, ComputeOptions.Default));
            Assert.Throws<ArgumentException>(() => AwqClip.Limit(zeros, default, moments, new Fp8BlockFormat(new BlockShape(2, 64)), ElementType.BF16, 1, ComputeOptions.Default));
            zeros[5] = float.NaN;
            Assert.Throws<NonFiniteWeightException>(() => AwqClip.Limit(zeros, default, moments, Format, ElementType.BF16, 1, ComputeOptions.Default));
        }
    }

    private static (float[] Weights, SecondMoments Moments) Case()
    {
        Random random = new(3);
        float[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(i => BFloat16.Round((random.NextSingle() - 0.5f) * (i % 29 == 0 ? 3 : 1)))];
        SecondMoments moments = new(Columns);
        moments.Add(Enumerable.Range(0, 50 * Columns).Select(_ => random.NextSingle() - 0.3f).ToArray(), default, ComputeOptions.Default);
        moments.Complete(ComputeOptions.Default);
        return (weights, moments);
    }

    private static float[] Limited(float[] group, int step)
    {
        float limit = group.Max(MathF.Abs) * (1 - (step * 0.05f));
        return step == 0 ? group : [.. group.Select(weight => Math.Clamp(weight, -limit, limit))];
    }

    private static double Loss(float[] wanted, float[] limited, float[] factors, SecondMoments moments, int column)
    {
        byte[] bytes = [.. limited.SelectMany(weight => BitConverter.GetBytes(BFloat16.FromSingle(weight).Bits))], packed = new byte[Group / 2], scales = new byte[2];
        float[] values = new float[Group];
        Int4Group.Encode(WeightEncoder.Library, ElementType.BF16, bytes, Group, ColumnWeights.Of([], Group), packed, scales, new QuantizationError[1], []);
        Int4Group.Decode(ElementType.BF16, packed, scales, Group, values);
        double[] errors = [.. values.Select((value, i) => (double)(value - wanted[i]) / (factors.Length == 0 ? 1 : factors[column + i]))];
        double loss = 0;
        for (int i = 0; i < Group; i++)
        {
            for (int j = 0; j < Group; j++)
            {
                loss += errors[i] * moments[column + i, column + j] * errors[j];
            }
        }

        return loss;
    }
}

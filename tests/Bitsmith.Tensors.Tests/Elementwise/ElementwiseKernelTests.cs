using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Elementwise;

public sealed class ElementwiseKernelTests
{
    private static readonly float[] Awkward =
    [
        0, -0f, float.Epsilon, -float.Epsilon, 1e-38f, -1e-38f, 1, -1, 17, -17, 87.3f, -87.4f, 88.7228f, 88.7229f, 89, -89, -103.9f, -103.98f, -104, -110, 1e30f, -1e30f,
        float.MaxValue, float.MinValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN,
    ];

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void The_exponential_is_within_two_units_in_the_last_place_over_all_magnitudes(InstructionSet set)
    {
        // A stride that is prime to 2^32 visits every exponent with many significands.
        const uint Stride = 4099;
        float[] inputs = new float[1 << 20], outputs = new float[inputs.Length];
        for (int i = 0; i < inputs.Length; i++)
        {
            // Every other value lies in the range where the result is neither 0 nor infinity.
            inputs[i] = i % 2 == 0 ? BitConverter.UInt32BitsToSingle((uint)i * Stride) : -104.5f + (194f * i / inputs.Length);
        }

        ElementwiseKernels.Exp(inputs, outputs, set);
        for (int i = 0; i < inputs.Length; i++)
        {
            AssertExponential(inputs[i], outputs[i]);
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void The_exponential_of_infinities_zeros_and_nan_is_that_of_the_standard(InstructionSet set)
    {
        float[] outputs = new float[Awkward.Length];
        ElementwiseKernels.Exp(Awkward, outputs, set);
        for (int i = 0; i < Awkward.Length; i++)
        {
            AssertExponential(Awkward[i], outputs[i]);
        }

        float[] exact = new float[5];
        ElementwiseKernels.Exp([0, -0f, float.PositiveInfinity, float.NegativeInfinity, float.NaN], exact, set);
        Assert.Equal([1, 1, float.PositiveInfinity, 0, float.NaN], exact);
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Gated_activations_agree_with_binary64(InstructionSet set) => Law.Holds(AnyRow, row =>
    {
        (float[] gate, float[] up) = (row.Values(1), row.Values(2));
        float[] outputs = new float[gate.Length];
        ElementwiseKernels.SiluMultiply(gate, up, outputs, set);
        for (int i = 0; i < gate.Length; i++)
        {
            double exact = gate[i] / (1 + Math.Exp(-(double)gate[i])) * up[i];

            // e^-g overflows in binary32 where silu(g) is below 1e-36: the product may then be zero.
            Assert.True(Math.Abs(outputs[i] - exact) <= (1e-6 * Math.Abs(exact)) + (1e-36 * Math.Abs(up[i])), $"silu({gate[i]:R}) · {up[i]:R} gave {outputs[i]:R}, not {exact:R}");
        }
    }, runs: 100);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Sums_and_norms_are_those_of_plain_binary32_code_bit_for_bit(InstructionSet set) => Law.Holds(AnyRow, row =>
    {
        (float[] x, float[] weight) = (row.Values(1), row.Values(2));
        float factor = 1 / MathF.Sqrt((DotProduct.Of(x, x, set) / x.Length) + 1e-5f);
        float[] sums = [.. x], normed = new float[x.Length];
        ElementwiseKernels.Add(sums, weight, set);
        ElementwiseKernels.RmsNorm(x, weight, 1e-5f, normed, set);
        Assert.Equal(x.Zip(weight, (a, b) => a + b), sums);
        Assert.Equal(x.Zip(weight, (a, w) => w * (a * factor)), normed);
    }, runs: 100);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void A_value_has_the_same_bits_wherever_a_row_is_cut_and_in_place(InstructionSet set) => Law.Holds(AnyRow, row =>
    {
        (float[] gate, float[] up) = (row.Values(1), row.Values(2));
        float[] whole = new float[gate.Length], parts = new float[gate.Length], inPlace = [.. gate];
        ElementwiseKernels.SiluMultiply(gate, up, whole, set);
        ElementwiseKernels.SiluMultiply(inPlace, up, inPlace, set);
        int cut = row.Seed % (gate.Length + 1);
        ElementwiseKernels.SiluMultiply(gate.AsSpan(0, cut), up.AsSpan(0, cut), parts.AsSpan(0, cut), set);
        ElementwiseKernels.SiluMultiply(gate.AsSpan(cut), up.AsSpan(cut), parts.AsSpan(cut), set);
        Assert.Equal(whole, parts);
        Assert.Equal(whole, inPlace);
    }, runs: 100);

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Nothing_is_allocated(InstructionSet set)
    {
        float[] values = new float[77], weight = new float[11];
        Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run()
        {
            ElementwiseKernels.Add(values, values, set);
            ElementwiseKernels.SiluMultiply(values, values, values, set);
            ElementwiseKernels.RmsNorm(values, weight, 1e-5f, values, set);
            ElementwiseKernels.Exp(values, values, set);
            RotaryKernel.Halves(values, 11, weight.AsSpan(0, 5), weight.AsSpan(0, 5), set);
            RotaryKernel.Interleaved(values, 11, weight.AsSpan(0, 5), weight.AsSpan(0, 5), set);
        }
    }

    [Fact]
    public void Lengths_that_do_not_fit_are_refused()
    {
        Assert.Throws<ArgumentException>(() => ElementwiseKernels.Add(new float[3], new float[4], InstructionSet.Scalar));
        Assert.Throws<ArgumentException>(() => ElementwiseKernels.SiluMultiply(new float[3], new float[3], new float[2], Cpu.Default));
        Assert.Throws<ArgumentException>(() => ElementwiseKernels.RmsNorm(new float[5], new float[2], 0, new float[5], Cpu.Default));
        Assert.Throws<ArgumentException>(() => ElementwiseKernels.RmsNorm(new float[4], new float[2], 0, new float[2], Cpu.Default));
        Assert.Throws<ArgumentException>(() => ElementwiseKernels.RmsNorm([], [], 0, [], Cpu.Default));
    }

    private static void AssertExponential(float input, float actual)
    {
        double exact = Math.Exp(input);
        if (double.IsNaN(exact) || exact >= Math.ScaleB(1, 128))
        {
            Assert.True(float.IsNaN(actual) == double.IsNaN(exact) && (float.IsNaN(actual) || actual == float.PositiveInfinity || exact < Math.ScaleB(1.000001, 128)), $"e^{input:R} gave {actual:R}");
            return;
        }

        double unit = Math.ScaleB(1, Math.Max(exact == 0 ? -149 : Math.ILogB(exact) - 23, -149));
        Assert.True(Math.Abs(actual - exact) <= 2 * unit, $"e^{input:R} gave {actual:R}, {Math.Abs(actual - exact) / unit:g3} units from {exact:R}");
    }

    private static Arbitrary<Row> AnyRow => Arb.From(
        from seed in Gen.Choose(0, int.MaxValue)
        from length in Gen.Choose(1, 100)
        from spread in Gen.Elements(0.1f, 3f, 60f)
        select new Row(seed, length, spread));

    private sealed record Row(int Seed, int Length, float Spread)
    {
        public float[] Values(int stream)
        {
            Random random = new(Seed + stream);
            return [.. Enumerable.Range(0, Length).Select(_ => Spread * ((2 * random.NextSingle()) - 1))];
        }
    }
}

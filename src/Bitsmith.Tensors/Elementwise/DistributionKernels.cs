using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>Sums and extremes over a row of logits, as a distribution over the vocabulary needs them. Exponentials are binary32, sums binary64. Nothing is allocated.</summary>
public static class DistributionKernels
{
    private interface IReduction<TResult>
    {
        TResult Scalar();

        TResult Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>;
    }

    /// <summary>The largest of some values; any value where one is NaN.</summary>
    public static float Largest(ReadOnlySpan<float> values, InstructionSet instructionSet) => Run<LargestOf, float>(new LargestOf(values), instructionSet);

    /// <summary>The smallest of some values; any value where one is NaN.</summary>
    public static float Smallest(ReadOnlySpan<float> values, InstructionSet instructionSet) => Run<SmallestOf, float>(new SmallestOf(values), instructionSet);

    /// <summary>The place of the first of the largest values, given what <see cref="Largest"/> found.</summary>
    public static int PlaceOf(float largest, ReadOnlySpan<float> values)
    {
        ReadOnlySpan<int> bits = System.Runtime.InteropServices.MemoryMarshal.Cast<float, int>(values);
        int wanted = BitConverter.SingleToInt32Bits(largest);
        return largest == 0 ? bits.IndexOfAny(0, int.MinValue) : bits.IndexOf(wanted);
    }

    /// <summary>Σ e^(x[i] - shift).</summary>
    /// <param name="values">x.</param>
    /// <param name="shift">For the terms not to overflow, the largest x.</param>
    /// <param name="instructionSet">Kernels.</param>
    public static double PowerSum(ReadOnlySpan<float> values, float shift, InstructionSet instructionSet) => Run<PowerSumOf, double>(new PowerSumOf(values, shift), instructionSet);

    /// <summary>
    /// (Σ w[i], Σ w[i] · ((x[i] - a) - (y[i] - b))) with w[i] = e^(x[i] - a), over the i with x[i] - a above a limit or NaN: what the KL divergence of y's distribution from x's is made of.
    /// </summary>
    /// <param name="x">Logits or log-probabilities.</param>
    /// <param name="a">The shift of x.</param>
    /// <param name="y">As many others.</param>
    /// <param name="b">The shift of y.</param>
    /// <param name="limit">See above.</param>
    /// <param name="instructionSet">Kernels.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static (double Weights, double Differences) WeightedDifferences(ReadOnlySpan<float> x, float a, ReadOnlySpan<float> y, float b, float limit, InstructionSet instructionSet) =>
        x.Length == y.Length
            ? Run<DifferencesOf, (double, double)>(new DifferencesOf(x, a, y, b, limit), instructionSet)
            : throw new ArgumentException($"{x.Length} and {y.Length} values cannot be compared.", nameof(y));

    /// <summary>values[i] = scale · steps[i] + least; product and sum are rounded apart.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void FromSteps(ReadOnlySpan<ushort> steps, float scale, float least, Span<float> values, InstructionSet instructionSet) =>
        Run<Widening, bool>(steps.Length == values.Length ? new Widening(steps, scale, least, values) : throw new ArgumentException($"{steps.Length} steps do not fit {values.Length} values.", nameof(values)), instructionSet);

    /// <summary>steps[i] = the nearest integer to (values[i] - least) · stepsPerUnit, ties to even; 0 where the value is at most the least.</summary>
    /// <param name="values">Values, of which none lies more than 65535 steps above the least.</param>
    /// <param name="least">What becomes 0.</param>
    /// <param name="stepsPerUnit">Above 0.</param>
    /// <param name="steps">As many.</param>
    /// <param name="instructionSet">Kernels; the steps are the same with each.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void ToSteps(ReadOnlySpan<float> values, float least, float stepsPerUnit, Span<ushort> steps, InstructionSet instructionSet) =>
        Run<Narrowing, bool>(steps.Length == values.Length ? new Narrowing(values, least, stepsPerUnit, steps) : throw new ArgumentException($"{values.Length} values do not fit {steps.Length} steps.", nameof(steps)), instructionSet);

    private static TResult Run<TReduction, TResult>(TReduction reduction, InstructionSet instructionSet)
        where TReduction : struct, IReduction<TResult>, allows ref struct => instructionSet switch
        {
            InstructionSet.Avx512 => reduction.Lanes<Lanes512>(),
            InstructionSet.Avx2 => reduction.Lanes<Lanes256>(),
            InstructionSet.Vector128 => reduction.Lanes<Lanes128>(),
            _ => reduction.Scalar(),
        };

    /// <summary>Values in whole steps of sixteen; the others are left to scalar code.</summary>
    private static int Whole(int length) => length / LaneMath.Width * LaneMath.Width;

    private static double Total(ReadOnlySpan<double> sums)
    {
        double total = 0;
        foreach (double sum in sums)
        {
            total += sum;
        }

        return total;
    }

    private readonly ref struct LargestOf(ReadOnlySpan<float> values) : IReduction<float>
    {
        private readonly ReadOnlySpan<float> values = values;

        public float Scalar() => From(0, float.NegativeInfinity);

        public float Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>
        {
            TLanes largest = LaneMath.Single<TLanes>(float.NegativeInfinity);
            int whole = Whole(values.Length);
            for (int i = 0; i < whole; i += LaneMath.Width)
            {
                largest = TLanes.MaxF(largest, TLanes.Load32(in values[i]));
            }

            return From(whole, TLanes.LargestF(largest));
        }

        private float From(int first, float largest)
        {
            foreach (float value in values[first..])
            {
                largest = MathF.Max(largest, value);
            }

            return largest;
        }
    }

    private readonly ref struct SmallestOf(ReadOnlySpan<float> values) : IReduction<float>
    {
        private readonly ReadOnlySpan<float> values = values;

        public float Scalar() => From(0, float.PositiveInfinity);

        public float Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>
        {
            TLanes smallest = LaneMath.Single<TLanes>(float.PositiveInfinity), sign = TLanes.Broadcast(0x8000_0000);
            int whole = Whole(values.Length);
            for (int i = 0; i < whole; i += LaneMath.Width)
            {
                smallest = TLanes.MinF(smallest, TLanes.Load32(in values[i]));
            }

            return From(whole, -TLanes.LargestF(smallest ^ sign));
        }

        private float From(int first, float smallest)
        {
            foreach (float value in values[first..])
            {
                smallest = MathF.Min(smallest, value);
            }

            return smallest;
        }
    }

    private readonly ref struct PowerSumOf(ReadOnlySpan<float> values, float shift) : IReduction<double>
    {
        private readonly ReadOnlySpan<float> values = values;

        public double Scalar() => From(0);

        [SkipLocalsInit]
        public double Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>
        {
            Span<double> sums = stackalloc double[LaneMath.Width];
            sums.Clear();
            TLanes shifts = LaneMath.Single<TLanes>(shift);
            int whole = Whole(values.Length);
            for (int i = 0; i < whole; i += LaneMath.Width)
            {
                TLanes.AddToDoubles(Exponential.Of(TLanes.SubtractF(TLanes.Load32(in values[i]), shifts)), ref sums[0]);
            }

            return Total(sums) + From(whole);
        }

        private double From(int first)
        {
            double sum = 0;
            foreach (float value in values[first..])
            {
                sum += MathF.Exp(value - shift);
            }

            return sum;
        }
    }

    private readonly ref struct DifferencesOf(ReadOnlySpan<float> x, float a, ReadOnlySpan<float> y, float b, float limit) : IReduction<(double Weights, double Differences)>
    {
        private readonly ReadOnlySpan<float> x = x, y = y;
        private readonly float least = MathF.BitIncrement(limit);

        public (double Weights, double Differences) Scalar() => From(0);

        [SkipLocalsInit]
        public (double Weights, double Differences) Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>
        {
            Span<double> weights = stackalloc double[LaneMath.Width], differences = stackalloc double[LaneMath.Width];
            weights.Clear();
            differences.Clear();
            TLanes xShift = LaneMath.Single<TLanes>(a), yShift = LaneMath.Single<TLanes>(b), lowest = LaneMath.Single<TLanes>(least), zero = LaneMath.Single<TLanes>(0);
            int whole = Whole(x.Length);
            for (int i = 0; i < whole; i += LaneMath.Width)
            {
                TLanes left = TLanes.SubtractF(TLanes.Load32(in x[i]), xShift), right = TLanes.SubtractF(TLanes.Load32(in y[i]), yShift);
                TLanes skipped = TLanes.LessF(left, lowest), weight = Exponential.Of(left);
                TLanes.AddToDoubles(TLanes.Select(skipped, zero, weight), ref weights[0]);
                TLanes.AddToDoubles(TLanes.Select(skipped, zero, TLanes.MultiplyF(weight, TLanes.SubtractF(left, right))), ref differences[0]);
            }

            (double moreWeights, double moreDifferences) = From(whole);
            return (Total(weights) + moreWeights, Total(differences) + moreDifferences);
        }

        private (double Weights, double Differences) From(int first)
        {
            double weights = 0, differences = 0;
            for (int i = first; i < x.Length; i++)
            {
                float left = x[i] - a, right = y[i] - b;
                if (!(left < least))
                {
                    float weight = MathF.Exp(left);
                    weights += weight;
                    differences += weight * (left - right);
                }
            }

            return (weights, differences);
        }
    }

    // 2^23: in the low bits of a binary32 from there on stand integers.
    private const uint IntegerBits = 0x4B00_0000;

    private readonly ref struct Widening(ReadOnlySpan<ushort> steps, float scale, float least, Span<float> values) : IReduction<bool>
    {
        private readonly ReadOnlySpan<ushort> steps = steps;
        private readonly Span<float> values = values;

        public bool Scalar() => From(0);

        public bool Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>
        {
            TLanes integers = TLanes.Broadcast(IntegerBits), factor = LaneMath.Single<TLanes>(scale), shift = LaneMath.Single<TLanes>(least);
            int whole = Whole(steps.Length);
            for (int i = 0; i < whole; i += LaneMath.Width)
            {
                TLanes step = TLanes.SubtractF(TLanes.Load16(in steps[i]) | integers, integers);
                TLanes.Store32(TLanes.AddF(TLanes.MultiplyF(factor, step), shift), ref values[i]);
            }

            return From(whole);
        }

        private bool From(int first)
        {
            for (int i = first; i < steps.Length; i++)
            {
                float product = scale * steps[i];
                values[i] = product + least;
            }

            return true;
        }
    }

    private readonly ref struct Narrowing(ReadOnlySpan<float> values, float least, float stepsPerUnit, Span<ushort> steps) : IReduction<bool>
    {
        private readonly ReadOnlySpan<float> values = values;
        private readonly Span<ushort> steps = steps;

        public bool Scalar() => From(0);

        public bool Lanes<TLanes>() where TLanes : struct, ILanes16<TLanes>
        {
            // The sum with 2^23 rounds to an integer, ties to even.
            TLanes integers = TLanes.Broadcast(IntegerBits), factor = LaneMath.Single<TLanes>(stepsPerUnit), shift = LaneMath.Single<TLanes>(least);
            int whole = Whole(steps.Length);
            for (int i = 0; i < whole; i += LaneMath.Width)
            {
                TLanes value = TLanes.Load32(in values[i]);
                TLanes step = TLanes.AddF(TLanes.MultiplyF(TLanes.SubtractF(value, shift), factor), integers) - integers;
                TLanes.Store16(TLanes.LessF(shift, value) & step, ref steps[i]);
            }

            return From(whole);
        }

        private bool From(int first)
        {
            for (int i = first; i < steps.Length; i++)
            {
                steps[i] = values[i] > least ? (ushort)MathF.Round((values[i] - least) * stepsPerUnit) : (ushort)0;
            }

            return true;
        }
    }
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Elementwise;

/// <content>
/// What PyTorch computes on bfloat16 tensors: each operation in binary32, its result rounded to bfloat16 (nearest even). Values stay binary32 that hold bfloat16 values.
/// </content>
public static partial class ElementwiseKernels
{
    /// <summary>Rounds values to bfloat16, nearest even.</summary>
    public static void RoundToBFloat16(Span<float> values, InstructionSet instructionSet) => Map(values, values, values, default(Rounded<Left>), instructionSet);

    /// <summary><see cref="Add"/>, rounded.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void AddBFloat16(Span<float> sums, ReadOnlySpan<float> values, InstructionSet instructionSet) => Map(sums, values, sums, default(Rounded<Sum>), instructionSet);

    /// <summary>sums[i] += factor · values[i]; the product with the binary32 factor is rounded first, then the sum.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void AddScaledBFloat16(Span<float> sums, ReadOnlySpan<float> values, float factor, InstructionSet instructionSet) =>
        Map(sums, values, sums, new RoundedScaledSum(factor), instructionSet);

    /// <summary><see cref="SiluMultiply"/>; silu is rounded before the product is.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void SiluMultiplyBFloat16(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> outputs, InstructionSet instructionSet) =>
        Map(gate, up, outputs, default(RoundedSiluProduct), instructionSet);

    /// <summary>
    /// <see cref="RmsNorm"/> as the models of transformers write it: x / √(mean(x²) + ε) in binary32, rounded, times the rounded weight, rounded. The mean is summed as PyTorch sums rows on a CPU, the same
    /// on every instruction set.
    /// </summary>
    /// <inheritdoc cref="RmsNorm"/>
    public static void RmsNormBFloat16(ReadOnlySpan<float> inputs, ReadOnlySpan<float> weight, float epsilon, Span<float> outputs, InstructionSet instructionSet)
    {
        int width = CheckRows(inputs, weight, outputs);
        for (int start = 0; start < inputs.Length; start += width)
        {
            ReadOnlySpan<float> x = inputs.Slice(start, width);
            float factor = 1 / MathF.Sqrt((RowSums.OfSquares(x) / width) + epsilon);
            Map(x, weight, outputs.Slice(start, width), new RoundedNorm(factor), instructionSet);
        }
    }

    /// <summary>Layer norm of each row, rounded: (x · r - mean · r) · w + b in binary32 with fused operations, r = 1 / √(variance + ε), weight and bias rounded. The same on every instruction set.</summary>
    /// <param name="inputs">Rows as wide as the weight.</param>
    /// <param name="weight">w.</param>
    /// <param name="bias">b.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="outputs">As many values as inputs; may be the same memory.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void LayerNormBFloat16(ReadOnlySpan<float> inputs, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float epsilon, Span<float> outputs)
    {
        int width = CheckRows(inputs, weight, outputs);
        for (int start = 0; start < inputs.Length; start += width)
        {
            (float mean, float variance) = RowSums.Moments(inputs.Slice(start, width));
            float factor = 1 / MathF.Sqrt(variance + epsilon), shift = -factor * mean;
            for (int i = 0; i < width; i++)
            {
                float scaled = MathF.FusedMultiplyAdd(inputs[start + i], factor, shift);
                outputs[start + i] = BFloat16.Round(MathF.FusedMultiplyAdd(scaled, BFloat16.Round(weight[i]), BFloat16.Round(bias[i])));
            }
        }
    }

    private readonly struct Rounded<TOperation> : IBinary
        where TOperation : struct, IBinary
    {
        public float Scalar(float left, float right) => BFloat16.Round(default(TOperation).Scalar(left, right));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> => LaneMath.ToBFloat16(default(TOperation).Lanes(left, right)) << 16;
    }

    private readonly struct Left : IBinary
    {
        public float Scalar(float left, float right) => left;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> => left;
    }

    private readonly struct RoundedSiluProduct : IBinary
    {
        public float Scalar(float left, float right) => BFloat16.Round(BFloat16.Round(default(SiluProduct).Scalar(left, 1)) * right);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes>
        {
            TLanes silu = LaneMath.ToBFloat16(default(SiluProduct).Lanes(left, LaneMath.Single<TLanes>(1))) << 16;
            return LaneMath.ToBFloat16(TLanes.MultiplyF(silu, right)) << 16;
        }
    }

    private readonly struct RoundedScaledSum(float factor) : IBinary
    {
        public float Scalar(float left, float right) => BFloat16.Round(left + BFloat16.Round(factor * right));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> =>
            LaneMath.ToBFloat16(TLanes.AddF(left, LaneMath.ToBFloat16(TLanes.MultiplyF(LaneMath.Single<TLanes>(factor), right)) << 16)) << 16;
    }

    private readonly struct RoundedNorm(float factor) : IBinary
    {
        public float Scalar(float left, float right) => BFloat16.Round(BFloat16.Round(right) * BFloat16.Round(left * factor));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes>
        {
            TLanes normed = LaneMath.ToBFloat16(TLanes.MultiplyF(left, LaneMath.Single<TLanes>(factor))) << 16, weight = LaneMath.ToBFloat16(right) << 16;
            return LaneMath.ToBFloat16(TLanes.MultiplyF(weight, normed)) << 16;
        }
    }
}

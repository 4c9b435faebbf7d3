using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>
/// Maps over rows of binary32 values. Each output depends on the values at its own place alone, through the same operations wherever it stands, so results do not depend on how rows
/// are cut. Nothing is allocated. An output may be one of the inputs, but may not overlap one otherwise.
/// </summary>
public static partial class ElementwiseKernels
{
    /// <summary>sums[i] += values[i].</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Add(Span<float> sums, ReadOnlySpan<float> values, InstructionSet instructionSet) =>
        Map(sums, values, sums, default(Sum), instructionSet);

    /// <summary>sums[i] += factor · values[i]; the product is rounded first.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void AddScaled(Span<float> sums, ReadOnlySpan<float> values, float factor, InstructionSet instructionSet) =>
        Map(sums, values, sums, new ScaledSum(factor), instructionSet);

    /// <summary>outputs[i] = silu(gate[i]) · up[i], where silu(g) = g / (1 + e^-g).</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void SiluMultiply(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> outputs, InstructionSet instructionSet) =>
        Map(gate, up, outputs, default(SiluProduct), instructionSet);

    /// <summary>rms(x; w) = w · x / √(mean(x²) + ε) of each row; the sum is <see cref="DotProduct.Of"/>.</summary>
    /// <param name="inputs">Rows as wide as the weight.</param>
    /// <param name="weight">w.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="outputs">As many values as inputs.</param>
    /// <param name="instructionSet">The kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void RmsNorm(ReadOnlySpan<float> inputs, ReadOnlySpan<float> weight, float epsilon, Span<float> outputs, InstructionSet instructionSet)
    {
        int width = CheckRows(inputs, weight, outputs);
        for (int start = 0; start < inputs.Length; start += width)
        {
            ReadOnlySpan<float> x = inputs.Slice(start, width);
            float factor = 1 / MathF.Sqrt((DotProduct.Of(x, x, instructionSet) / width) + epsilon);
            Map(x, weight, outputs.Slice(start, width), new Scaled(factor), instructionSet);
        }
    }

    /// <summary>outputs[i] = e^inputs[i], within 2 units in the last place.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Exp(ReadOnlySpan<float> inputs, Span<float> outputs, InstructionSet instructionSet) =>
        Map(inputs, inputs, outputs, default(Power), instructionSet);

    private static int CheckRows(ReadOnlySpan<float> inputs, ReadOnlySpan<float> weight, ReadOnlySpan<float> outputs) =>
        weight.Length > 0 && inputs.Length % weight.Length == 0 && outputs.Length == inputs.Length
            ? weight.Length
            : throw new ArgumentException($"{inputs.Length} values are no rows of {weight.Length}, or do not fit {outputs.Length}.");

    private static void Map<TOperation>(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> outputs, TOperation operation, InstructionSet instructionSet)
        where TOperation : struct, IBinary
    {
        if (left.Length != right.Length || left.Length != outputs.Length)
        {
            throw new ArgumentException($"{left.Length} and {right.Length} values do not fit {outputs.Length}.");
        }

        switch (instructionSet)
        {
            case InstructionSet.Avx512:
                MapLanes<Lanes512, TOperation>(left, right, outputs, operation);
                break;
            case InstructionSet.Avx2:
                MapLanes<Lanes256, TOperation>(left, right, outputs, operation);
                break;
            case InstructionSet.Vector128:
                MapLanes<Lanes128, TOperation>(left, right, outputs, operation);
                break;
            default:
                for (int i = 0; i < outputs.Length; i++)
                {
                    outputs[i] = operation.Scalar(left[i], right[i]);
                }

                break;
        }
    }

    private static void MapLanes<TLanes, TOperation>(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> outputs, TOperation operation)
        where TLanes : struct, ILanes16<TLanes>
        where TOperation : struct, IBinary
    {
        int i = 0;
        for (; i <= outputs.Length - LaneMath.Width; i += LaneMath.Width)
        {
            TLanes.Store32(operation.Lanes(TLanes.Load32(in left[i]), TLanes.Load32(in right[i])), ref outputs[i]);
        }

        if (i < outputs.Length)
        {
            LaneMath.StoreTail(operation.Lanes(LaneMath.LoadTail<TLanes, float>(left[i..]), LaneMath.LoadTail<TLanes, float>(right[i..])), outputs[i..]);
        }
    }

    private interface IBinary
    {
        float Scalar(float left, float right);

        TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes>;
    }

    private readonly struct Sum : IBinary
    {
        public float Scalar(float left, float right) => left + right;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> => TLanes.AddF(left, right);
    }

    private readonly struct ScaledSum(float factor) : IBinary
    {
        public float Scalar(float left, float right) => left + (factor * right);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> =>
            TLanes.AddF(left, TLanes.MultiplyF(LaneMath.Single<TLanes>(factor), right));
    }

    private readonly struct SiluProduct : IBinary
    {
        public float Scalar(float left, float right) => left / (1 + MathF.Exp(-left)) * right;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes>
        {
            TLanes power = Exponential.Of(left ^ TLanes.Broadcast(0x8000_0000));
            return TLanes.MultiplyF(TLanes.DivideF(left, TLanes.AddF(LaneMath.Single<TLanes>(1), power)), right);
        }
    }

    private readonly struct Scaled(float factor) : IBinary
    {
        public float Scalar(float left, float right) => right * (left * factor);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> =>
            TLanes.MultiplyF(right, TLanes.MultiplyF(left, LaneMath.Single<TLanes>(factor)));
    }

    private readonly struct Power : IBinary
    {
        public float Scalar(float left, float right) => MathF.Exp(left);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TLanes Lanes<TLanes>(TLanes left, TLanes right) where TLanes : struct, ILanes16<TLanes> => Exponential.Of(left);
    }
}

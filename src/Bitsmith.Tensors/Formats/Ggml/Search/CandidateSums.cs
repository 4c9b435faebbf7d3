using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Weighted sums over a group of weights for sixteen candidate scales and offsets at once, one candidate to a lane: x ~ scale * code + offset with integer
/// codes. Each lane adds up element by element, unfused, so every instruction set gives the same bits.
/// </summary>
internal static class CandidateSums
{
    /// <summary>Candidates in a batch.</summary>
    public const int Width = LaneMath.Width;

    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, ties to even.
    private const float Rounding = 12582912;

    /// <summary>Computes the sums.</summary>
    /// <param name="values">x.</param>
    /// <param name="weights">w.</param>
    /// <param name="scales">Sixteen scales.</param>
    /// <param name="offsets">Sixteen offsets.</param>
    /// <param name="lowest">The lowest code.</param>
    /// <param name="highest">The highest code.</param>
    /// <param name="errors">Receives sum w e^2 for each, where e = x - (scale * code + offset).</param>
    /// <param name="residuals">Receives sum w e.</param>
    /// <param name="products">Receives sum w e code.</param>
    /// <param name="codes">Receives sum w code.</param>
    /// <param name="squares">Receives sum w code^2.</param>
    /// <param name="set">The kernels to use.</param>
    public static void Compute(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, ReadOnlySpan<float> scales, ReadOnlySpan<float> offsets, float lowest, float highest,
        Span<float> errors, Span<float> residuals, Span<float> products, Span<float> codes, Span<float> squares, InstructionSet set)
    {
        Span<float> inverses = stackalloc float[Width];
        for (int i = 0; i < Width; i++)
        {
            inverses[i] = HalfScale.Inverse(scales[i]);
        }

        Sums sums = new(scales, offsets, inverses, errors, residuals, products, codes, squares);
        switch (set)
        {
            case InstructionSet.Avx512:
                Vector<Lanes512>(values, weights, lowest, highest, sums);
                break;
            case InstructionSet.Avx2:
                Vector<Lanes256>(values, weights, lowest, highest, sums);
                break;
            case InstructionSet.Vector128:
                Vector<Lanes128>(values, weights, lowest, highest, sums);
                break;
            default:
                Scalar(values, weights, lowest, highest, sums);
                break;
        }
    }

    private static void Scalar(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float lowest, float highest, Sums sums)
    {
        for (int lane = 0; lane < Width; lane++)
        {
            float error = 0, residual = 0, product = 0, code = 0, square = 0;
            for (int i = 0; i < values.Length; i++)
            {
                float y = Math.Clamp((values[i] - sums.Offsets[lane]) * sums.Inverses[lane], lowest, highest), q = (y + Rounding) - Rounding;
                float e = values[i] - ((sums.Scales[lane] * q) + sums.Offsets[lane]), we = weights[i] * e, wq = weights[i] * q;
                error += we * e;
                residual += we;
                product += we * q;
                code += wq;
                square += wq * q;
            }

            (sums.Errors[lane], sums.Residuals[lane], sums.Products[lane], sums.Codes[lane], sums.Squares[lane]) = (error, residual, product, code, square);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Vector<TLanes>(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float lowest, float highest, Sums sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes scale = TLanes.Load32(in sums.Scales[0]), offset = TLanes.Load32(in sums.Offsets[0]), inverse = TLanes.Load32(in sums.Inverses[0]);
        TLanes least = LaneMath.Single<TLanes>(lowest), most = LaneMath.Single<TLanes>(highest), rounding = LaneMath.Single<TLanes>(Rounding);
        TLanes error = TLanes.Broadcast(0), residual = error, product = error, code = error, square = error;
        for (int i = 0; i < values.Length; i++)
        {
            TLanes x = LaneMath.Single<TLanes>(values[i]), w = LaneMath.Single<TLanes>(weights[i]);
            TLanes y = TLanes.MinF(TLanes.MaxF(TLanes.MultiplyF(TLanes.SubtractF(x, offset), inverse), least), most);
            TLanes q = TLanes.SubtractF(TLanes.AddF(y, rounding), rounding);
            TLanes e = TLanes.SubtractF(x, TLanes.AddF(TLanes.MultiplyF(scale, q), offset));
            TLanes we = TLanes.MultiplyF(w, e), wq = TLanes.MultiplyF(w, q);
            error = TLanes.AddF(error, TLanes.MultiplyF(we, e));
            residual = TLanes.AddF(residual, we);
            product = TLanes.AddF(product, TLanes.MultiplyF(we, q));
            code = TLanes.AddF(code, wq);
            square = TLanes.AddF(square, TLanes.MultiplyF(wq, q));
        }

        TLanes.Store32(error, ref sums.Errors[0]);
        TLanes.Store32(residual, ref sums.Residuals[0]);
        TLanes.Store32(product, ref sums.Products[0]);
        TLanes.Store32(code, ref sums.Codes[0]);
        TLanes.Store32(square, ref sums.Squares[0]);
    }

    private readonly ref struct Sums(
        ReadOnlySpan<float> scales, ReadOnlySpan<float> offsets, ReadOnlySpan<float> inverses,
        Span<float> errors, Span<float> residuals, Span<float> products, Span<float> codes, Span<float> squares)
    {
        public ReadOnlySpan<float> Scales { get; } = scales;

        public ReadOnlySpan<float> Offsets { get; } = offsets;

        public ReadOnlySpan<float> Inverses { get; } = inverses;

        public Span<float> Errors { get; } = errors;

        public Span<float> Residuals { get; } = residuals;

        public Span<float> Products { get; } = products;

        public Span<float> Codes { get; } = codes;

        public Span<float> Squares { get; } = squares;
    }
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>
/// e^x in binary32 on sixteen lanes, within 2 units in the last place over the whole range, subnormal results included: x = n ln 2 + r with |r| at most (ln 2) / 2, then a polynomial
/// of degree 7 in r, then the exponent. Scalar code uses <see cref="MathF.Exp"/> instead.
/// </summary>
internal static class Exponential
{
    // e^89 overflows to infinity, e^-104 is below half of the smallest subnormal: what lies beyond gives the same.
    private const float Highest = 89, Lowest = -104;

    // Adding 1.5 · 2^23 rounds to the nearest integer and leaves it in the low bits.
    private const float Rounder = 12582912;

    private const float LogTwoOfE = 1.44269504f;

    // ln 2 in two parts; the first has so few bits that its product with n is exact.
    private const float LnTwoHigh = 0.693359375f, LnTwoLow = -2.12194440e-4f;

    /// <summary>e^x; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Of<TLanes>(TLanes x) where TLanes : struct, ILanes16<TLanes>
    {
        x = TLanes.MinF(LaneMath.Single<TLanes>(Highest), TLanes.MaxF(LaneMath.Single<TLanes>(Lowest), x));
        TLanes rounded = TLanes.MultiplyAddF(x, LaneMath.Single<TLanes>(LogTwoOfE), LaneMath.Single<TLanes>(Rounder));
        TLanes n = TLanes.SubtractF(rounded, LaneMath.Single<TLanes>(Rounder));
        TLanes r = TLanes.MultiplyAddF(n, LaneMath.Single<TLanes>(-LnTwoHigh), x);
        r = TLanes.MultiplyAddF(n, LaneMath.Single<TLanes>(-LnTwoLow), r);

        // Coefficients of expf in Cephes 2.2 (Moshier).
        TLanes p = TLanes.MultiplyAddF(LaneMath.Single<TLanes>(1.9875691500e-4f), r, LaneMath.Single<TLanes>(1.3981999507e-3f));
        p = TLanes.MultiplyAddF(p, r, LaneMath.Single<TLanes>(8.3334519073e-3f));
        p = TLanes.MultiplyAddF(p, r, LaneMath.Single<TLanes>(4.1665795894e-2f));
        p = TLanes.MultiplyAddF(p, r, LaneMath.Single<TLanes>(1.6666665459e-1f));
        p = TLanes.MultiplyAddF(p, r, LaneMath.Single<TLanes>(5.0000001201e-1f));
        p = TLanes.AddF(TLanes.MultiplyAddF(p, TLanes.MultiplyF(r, r), r), LaneMath.Single<TLanes>(1));

        // 2^n may lie outside the normal range, its two halves do not; only the last product rounds. 512 keeps the shifted integer positive.
        TLanes shifted = rounded - LaneMath.Single<TLanes>(Rounder) + TLanes.Broadcast(512);
        TLanes half = shifted >>> 1;
        TLanes bias = TLanes.Broadcast(256 - 127);
        TLanes first = (half - bias) << 23, second = (shifted - half - bias) << 23;
        return TLanes.MultiplyF(TLanes.MultiplyF(p, first), second);
    }
}

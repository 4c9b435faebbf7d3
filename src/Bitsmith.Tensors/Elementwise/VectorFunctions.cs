namespace Bitsmith.Tensors.Elementwise;

/// <summary>
/// Functions in binary32 with the very bits that PyTorch gets on a CPU with AVX2 or AVX-512, whose vector functions are those of Sleef 3 (Shibata). The same bits everywhere: each step is one operation of
/// IEEE 754. For the forward pass that is held to PyTorch bit for bit; <see cref="MathF"/> is as exact.
/// </summary>
public static class VectorFunctions
{
    // Beyond, Sleef reduces angles in another way.
    private const float LargestAngle = 125;

    // π in three parts, the first two with so few bits that products with small integers are exact.
    private const float PiHigh = 3.1414794921875f, PiMiddle = 1.1315941810607910156e-4f, PiLow = 1.9841872589410058936e-9f, InverseOfPi = 0.318309886183790672f;

    /// <summary>e^x for x of at most 0, within 1 unit in the last place: x = n ln 2 + r, then a polynomial in r (expf_u10).</summary>
    public static float Exponential(float x)
    {
        if (x < -104)
        {
            return 0; // below half of the smallest subnormal
        }

        float n = MathF.Round(x * 1.44269504f);
        float r = MathF.FusedMultiplyAdd(n, -1.428606765330187045e-6f, MathF.FusedMultiplyAdd(n, -0.693145751953125f, x));
        float p = MathF.FusedMultiplyAdd(1.98527617612853646e-4f, r, 1.39304355252534151e-3f);
        p = MathF.FusedMultiplyAdd(p, r, 8.33336077630519867e-3f);
        p = MathF.FusedMultiplyAdd(p, r, 4.16664853692054749e-2f);
        p = MathF.FusedMultiplyAdd(p, r, 0.166666671633720398f);
        p = MathF.FusedMultiplyAdd(p, r, 0.5f);
        return float.IsNaN(x) ? x : MathF.ScaleB(1 + MathF.FusedMultiplyAdd(r * r, p, r), (int)n);
    }

    /// <summary>Sine and cosine, within 3.5 units in the last place (sinf_u35, cosf_u35); above 125 those of <see cref="MathF"/>.</summary>
    public static (float Sine, float Cosine) SinCos(float x)
    {
        if (!(MathF.Abs(x) < LargestAngle))
        {
            return MathF.SinCos(x);
        }

        float halfTurns = MathF.Round(x * InverseOfPi);
        float r = Reduced(x, halfTurns, 1);
        float sine = Polynomial(((int)halfTurns & 1) != 0 ? -r : r);

        // cos x = ±sin(x - (n + 1/2) π)
        float quarterTurns = (2 * MathF.Round((x * InverseOfPi) - 0.5f)) + 1;
        r = Reduced(x, quarterTurns, 0.5f);
        return (sine, Polynomial(((int)quarterTurns & 2) == 0 ? -r : r));
    }

    private static float Reduced(float x, float count, float unit) => MathF.FusedMultiplyAdd(
        count, -PiLow * unit, MathF.FusedMultiplyAdd(count, -PiMiddle * unit, MathF.FusedMultiplyAdd(count, -PiHigh * unit, x)));

    private static float Polynomial(float r)
    {
        float square = r * r;
        float p = MathF.FusedMultiplyAdd(2.6083159809786593541e-6f, square, -1.981069071916863322e-4f);
        p = MathF.FusedMultiplyAdd(p, square, 8.33307858556509017944e-3f);
        p = MathF.FusedMultiplyAdd(p, square, -0.166666597127914428711f);
        return (square * (p * r)) + r;
    }
}

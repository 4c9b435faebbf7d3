using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Bitsmith.Tensors.Measurement;

/// <summary>One multiply-and-add instruction on vectors, whose factors are all 1.</summary>
internal interface IPeakOperation<TVector>
{
    /// <summary>Multiplications and additions of one instruction.</summary>
    static abstract int Operations { get; }

    /// <summary>Nothing.</summary>
    static abstract TVector Zero { get; }

    /// <summary>1 in every element.</summary>
    static abstract TVector One { get; }

    /// <summary>The instruction: sum + x · y.</summary>
    static abstract TVector Step(TVector sum, TVector x, TVector y);

    /// <summary>The lanes added up: half the operations that went into a sum.</summary>
    static abstract double Total(TVector sum);
}

internal readonly struct Fma512 : IPeakOperation<Vector512<float>>
{
    public static int Operations => 32;

    public static Vector512<float> Zero => default;

    public static Vector512<float> One => Vector512<float>.One;

    public static Vector512<float> Step(Vector512<float> sum, Vector512<float> x, Vector512<float> y) => Vector512.FusedMultiplyAdd(x, y, sum);

    public static double Total(Vector512<float> sum) => Vector512.Sum(sum);
}

internal readonly struct Fma256 : IPeakOperation<Vector256<float>>
{
    public static int Operations => 16;

    public static Vector256<float> Zero => default;

    public static Vector256<float> One => Vector256<float>.One;

    public static Vector256<float> Step(Vector256<float> sum, Vector256<float> x, Vector256<float> y) => Vector256.FusedMultiplyAdd(x, y, sum);

    public static double Total(Vector256<float> sum) => Vector256.Sum(sum);
}

internal readonly struct Fma128 : IPeakOperation<Vector128<float>>
{
    public static int Operations => 8;

    public static Vector128<float> Zero => default;

    public static Vector128<float> One => Vector128<float>.One;

    public static Vector128<float> Step(Vector128<float> sum, Vector128<float> x, Vector128<float> y) => Vector128.FusedMultiplyAdd(x, y, sum);

    public static double Total(Vector128<float> sum) => Vector128.Sum(sum);
}

internal readonly struct FmaScalar : IPeakOperation<float>
{
    public static int Operations => 2;

    public static float Zero => 0;

    public static float One => 1;

    public static float Step(float sum, float x, float y) => MathF.FusedMultiplyAdd(x, y, sum);

    public static double Total(float sum) => sum;
}

/// <summary>256-bit vpdpbusd: four products of 8 bits in each of 8 lanes.</summary>
internal readonly struct ByteDotAvxVnni : IPeakOperation<Vector256<int>>
{
    public static int Operations => 64;

    public static Vector256<int> Zero => default;

    public static Vector256<int> One => Vector256<byte>.One.AsInt32();

    public static Vector256<int> Step(Vector256<int> sum, Vector256<int> x, Vector256<int> y) => AvxVnni.MultiplyWideningAndAdd(sum, x.AsByte(), y.AsSByte());

    public static double Total(Vector256<int> sum) => Vector256.Sum(sum);
}

/// <summary>Arm64 sdot: four products of 8 bits in each of 4 lanes.</summary>
internal readonly struct ByteDotArm : IPeakOperation<Vector128<int>>
{
    public static int Operations => 32;

    public static Vector128<int> Zero => default;

    public static Vector128<int> One => Vector128<sbyte>.One.AsInt32();

    public static Vector128<int> Step(Vector128<int> sum, Vector128<int> x, Vector128<int> y) => Dp.DotProduct(sum, x.AsSByte(), y.AsSByte());

    public static double Total(Vector128<int> sum) => Vector128.Sum(sum);
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>How a binary32 is rounded to the weights' element type T, in which the library computes.</summary>
internal interface IWeightRounding
{
    /// <summary>Machine epsilon: the scale of weights that would otherwise have none.</summary>
    static abstract float Epsilon { get; }

    /// <summary>The smallest positive normal number.</summary>
    static abstract float SmallestNormal { get; }

    static abstract float Round(float value);

    static abstract TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes>;
}

/// <summary>The weights' element type T: how it is read and how a binary32 is rounded to it.</summary>
internal interface IWeights<T> : IWeightRounding
    where T : unmanaged
{
    /// <summary>
    /// True where T(w * (1/scale)) always equals T(w / scale). For BF16 it does: w and scale have 8 significant bits and the midpoints
    /// between neighbouring values of T have 9, so a quotient is at least 2^-17 (relative) away from every midpoint, while
    /// the reciprocal and the product are each off by at most 2^-24. A test runs through all significands.
    /// </summary>
    static abstract bool ReciprocalIsExact { get; }

    static abstract float ToSingle(T value);

    static abstract T FromSingle(float value);

    static abstract TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes>;
}

internal readonly struct BFloat16Weights : IWeights<ushort>
{
    public static float Epsilon => BFloat16.Epsilon;

    public static float SmallestNormal => 1.17549435e-38f;

    public static bool ReciprocalIsExact => true;

    public static float ToSingle(ushort value) => new BFloat16(value).ToSingle();

    public static ushort FromSingle(float value) => BFloat16.FromSingle(value).Bits;

    public static float Round(float value) => BFloat16.Round(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes> => bits << 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.RoundToBFloat16(value);
}

internal readonly struct HalfWeights : IWeights<ushort>
{
    public static float Epsilon => 1f / 1024;

    public static float SmallestNormal => 1f / 16384;

    public static bool ReciprocalIsExact => false;

    public static float ToSingle(ushort value) => (float)BitConverter.UInt16BitsToHalf(value);

    public static ushort FromSingle(float value) => BitConverter.HalfToUInt16Bits((Half)value);

    public static float Round(float value) => (float)(Half)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes> => LaneMath.FromHalf(bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> =>
        LaneMath.FromHalf(LaneMath.ToHalf(value));
}

internal readonly struct SingleWeights : IWeights<float>
{
    public static float Epsilon => 1f / (1 << 23);

    public static float SmallestNormal => 1.17549435e-38f;

    public static bool ReciprocalIsExact => false;

    public static float ToSingle(float value) => value;

    public static float FromSingle(float value) => value;

    public static float Round(float value) => value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes> => bits;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => value;
}

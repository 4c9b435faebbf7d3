using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The levels that a weight of a group can take, in units of the group's scale.</summary>
internal interface ILevels
{
    /// <summary>The lowest level.</summary>
    static abstract float Lowest { get; }

    /// <summary>The largest level.</summary>
    static abstract float Highest { get; }

    /// <summary>The levels, and what lies between and beyond, at which a search puts the weight of largest magnitude.</summary>
    static abstract ReadOnlySpan<float> Places { get; }

    /// <summary>How often assignment and least squares alternate at the end of a search.</summary>
    static abstract int Rounds { get; }

    /// <summary>The level nearest to each value times the inverse.</summary>
    static abstract TLanes Nearest<TLanes>(TLanes value, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes>;

    /// <summary>The code, an integer, of the level nearest to each value times the inverse.</summary>
    static abstract TLanes Code<TLanes>(TLanes value, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes>;
}

/// <summary>Lists of <see cref="ILevels.Places"/>.</summary>
internal static class LevelPlaces
{
    private static readonly float[] Reaches = [1.15f, 1.3f, 1.5f, 1.75f, 2.1f, 2.6f];

    /// <summary>Around a level at the end, about which a scale should put the weight of largest magnitude.</summary>
    public static float[] Around(float outermost) =>
        [.. Enumerable.Range(-6, 13).Select(step => outermost + (Math.Sign(outermost) * 0.15f * step))];

    /// <summary>Where levels are so few that clipping large weights is worth a try: around and beyond a level at the end.</summary>
    public static float[] AroundAndBeyond(float outermost) => [.. Around(outermost), .. Reaches.Select(reach => outermost * reach)];
}

/// <summary>Consecutive integers; the code of a level is its distance from the lowest.</summary>
internal static class IntegerLevels
{
    // Adding 2^23 leaves the nearest integer in the significand; adding and subtracting 1.5 * 2^23 rounds, ties to even.
    private const float Significand = 8388608, Rounding = 12582912;

    /// <summary>The integer nearest to value times inverse, within bounds. Sums are compared as integers, whose order is theirs, for that costs no unit that adds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse, float lowest, float highest)
        where TLanes : struct, ILanes16<TLanes> =>
        Within(TLanes.FusedF(value, inverse, LaneMath.Single<TLanes>(Rounding)), LaneMath.Single<TLanes>(Rounding + lowest), LaneMath.Single<TLanes>(Rounding + highest));

    /// <summary>The integer nearest to value times inverse plus start, from 0 to a highest one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse, TLanes start, float highest)
        where TLanes : struct, ILanes16<TLanes> =>
        Within(
            TLanes.AddF(TLanes.FusedF(value, inverse, start), LaneMath.Single<TLanes>(Rounding)), LaneMath.Single<TLanes>(Rounding), LaneMath.Single<TLanes>(Rounding + highest));

    /// <summary>The distance from the lowest of the integer nearest to value times inverse.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse, float lowest, float highest)
        where TLanes : struct, ILanes16<TLanes> =>
        ToInteger(TLanes.SubtractF(Nearest(value, inverse, lowest, highest), LaneMath.Single<TLanes>(lowest)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Within<TLanes>(TLanes sum, TLanes lowest, TLanes highest)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.SubtractF(TLanes.Min(TLanes.Max(sum, lowest), highest), LaneMath.Single<TLanes>(Rounding));

    /// <summary>Rounds magnitudes below 2^22 to integers, ties to even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Round<TLanes>(TLanes value)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.SubtractF(TLanes.AddF(value, LaneMath.Single<TLanes>(Rounding)), LaneMath.Single<TLanes>(Rounding));

    /// <summary>Integers of 0 to 2^22 from binary32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToInteger<TLanes>(TLanes value)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.AddF(value, LaneMath.Single<TLanes>(Significand)) ^ LaneMath.Single<TLanes>(Significand);
}

/// <summary>-4 to 3.</summary>
internal readonly struct Int3Levels : ILevels
{
    private static readonly float[] AllPlaces = [.. LevelPlaces.AroundAndBeyond(-4), .. LevelPlaces.AroundAndBeyond(3)];

    public static float Lowest => -4;

    public static float Highest => 3;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -4, 3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Code(value, inverse, -4, 3);
}

/// <summary>-8 to 7.</summary>
internal readonly struct Int4Levels : ILevels
{
    private static readonly float[] AllPlaces = [.. LevelPlaces.AroundAndBeyond(-8), .. LevelPlaces.AroundAndBeyond(7)];

    public static float Lowest => -8;

    public static float Highest => 7;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -8, 7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Code(value, inverse, -8, 7);
}

/// <summary>-16 to 15.</summary>
internal readonly struct Int5Levels : ILevels
{
    private static readonly float[] AllPlaces = [.. LevelPlaces.AroundAndBeyond(-16), .. LevelPlaces.AroundAndBeyond(15)];

    public static float Lowest => -16;

    public static float Highest => 15;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -16, 15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Code(value, inverse, -16, 15);
}

/// <summary>-32 to 31.</summary>
internal readonly struct Int6Levels : ILevels
{
    private static readonly float[] AllPlaces = LevelPlaces.Around(-32);

    public static float Lowest => -32;

    public static float Highest => 31;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -32, 31);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Code(value, inverse, -32, 31);
}

/// <summary>-1, 0 and 1.</summary>
internal readonly struct TernaryLevels : ILevels
{
    private static readonly float[] AllPlaces = [1, 1.25f, 1.55f, 1.95f, 2.4f, 3, 4, 5.5f, 8];

    public static float Lowest => -1;

    public static float Highest => 1;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -1, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Code(value, inverse, -1, 1);
}

/// <summary>-127 to 127: without -128, which has no counterpart and which kernels that take magnitudes do not expect. Codes are signed bytes.</summary>
internal readonly struct Int8Levels : ILevels
{
    private static readonly float[] AllPlaces = [-127];

    public static float Lowest => -127;

    public static float Highest => 127;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -127, 127);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> =>
        (IntegerLevels.Code(value, inverse, -127, 127) - TLanes.Broadcast(127)) & TLanes.Broadcast(255);
}

/// <summary>-1 to 2.</summary>
internal readonly struct MinusOneToTwoLevels : ILevels
{
    private static readonly float[] AllPlaces = [-0.8f, -1, -1.3f, -1.7f, -2.3f, -3.2f, -4.5f, 1, 1.25f, 1.6f, 2, 2.3f, 2.7f, 3.3f, 4.2f, 5.5f, 8];

    public static float Lowest => -1;

    public static float Highest => 2;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Nearest(value, inverse, -1, 2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse) where TLanes : struct, ILanes16<TLanes> => IntegerLevels.Code(value, inverse, -1, 2);
}

/// <summary>The sixteen levels of IQ4_NL and IQ4_XS.</summary>
internal readonly struct Iq4Levels : ILevels
{
    private static readonly float[] AllPlaces = [.. LevelPlaces.AroundAndBeyond(-127), .. LevelPlaces.AroundAndBeyond(113)];
    private static readonly float[] Table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    private static readonly float[] Midpoints = [.. Table.Zip(Table.Skip(1), (low, high) => (low + high) / 2), float.PositiveInfinity];

    /// <summary>The level of each code.</summary>
    public static Vector128<sbyte> Bytes => Vector128.Create(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

    public static float Lowest => -127;

    public static float Highest => 113;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    /// <summary>The level of a code.</summary>
    public static float Value(int code) => Table[code];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.Pick(TLanes.Load32(in MemoryMarshal.GetArrayDataReference(Table)), Place(TLanes.MultiplyF(value, inverse)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes> =>
        Place(TLanes.MultiplyF(value, inverse)) & TLanes.Broadcast(15);

    /// <summary>
    /// The code in the lower four bits. The cubic takes midpoint i to i + 1/2 with an error below 1/4, so that its floor is the code or one less; which of the two, the
    /// midpoint between them says.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Place<TLanes>(TLanes value)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes y = TLanes.MinF(TLanes.MaxF(value, LaneMath.Single<TLanes>(-127)), LaneMath.Single<TLanes>(113));
        TLanes slope = TLanes.SubtractF(LaneMath.Single<TLanes>(0.0817f), TLanes.MultiplyF(TLanes.MultiplyF(y, y), LaneMath.Single<TLanes>(1.493e-6f)));
        TLanes guess = TLanes.AddF(TLanes.MultiplyF(slope, y), LaneMath.Single<TLanes>(7.37f));
        TLanes place = TLanes.AddF(guess, LaneMath.Single<TLanes>(12582912));
        return place - TLanes.LessF(TLanes.Pick(TLanes.Load32(in MemoryMarshal.GetArrayDataReference(Midpoints)), place), y);
    }
}

/// <summary>Twice the values of e2m1. Codes are sign and magnitude.</summary>
internal readonly struct Fp4Levels : ILevels
{
    private static readonly float[] AllPlaces = [.. LevelPlaces.AroundAndBeyond(-12), .. LevelPlaces.AroundAndBeyond(12)];
    private static readonly float[] Table = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// <summary>The level of each code.</summary>
    public static Vector128<sbyte> Bytes => Vector128.Create(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

    public static float Lowest => -12;

    public static float Highest => 12;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    /// <summary>The level of a code.</summary>
    public static float Value(int code) => Table[code];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Nearest<TLanes>(TLanes value, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes> =>
        Magnitude(TLanes.MultiplyF(value, inverse)) | (TLanes.MultiplyF(value, inverse) & TLanes.Broadcast(0x8000_0000));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Code<TLanes>(TLanes value, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes>
    {
        // Above 2 the binary32 pattern of a level holds its code: two bits of exponent and one of significand.
        TLanes scaled = TLanes.MultiplyF(value, inverse), level = Magnitude(scaled), small = IntegerLevels.ToInteger(level);
        TLanes large = ((level - TLanes.Broadcast(0x4000_0000)) >>> 22) + TLanes.Broadcast(2);
        TLanes code = TLanes.Select(TLanes.LessF(level, LaneMath.Single<TLanes>(2)), small, large);
        TLanes sign = (scaled & TLanes.Broadcast(0x8000_0000)) >>> 28;
        return TLanes.Select(TLanes.Less(TLanes.Broadcast(0), code), code | sign, code);
    }

    /// <summary>Levels are integers up to 4, then multiples of 2, then of 4: adding and subtracting 1.5 * 2^23 times that rounds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Magnitude<TLanes>(TLanes value)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes y = TLanes.Min(value & TLanes.Broadcast(0x7FFF_FFFF), LaneMath.Single<TLanes>(12));
        TLanes power = TLanes.Max(y, LaneMath.Single<TLanes>(2)) & TLanes.Broadcast(0x7F80_0000);
        TLanes rounding = power + TLanes.Broadcast((22u << 23) | 0x0040_0000);
        return TLanes.SubtractF(TLanes.AddF(y, rounding), rounding);
    }
}

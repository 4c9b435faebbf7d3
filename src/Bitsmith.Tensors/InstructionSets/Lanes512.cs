using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Bitsmith.Tensors.InstructionSets;

/// <summary>Sixteen lanes in one 512-bit register; needs AVX-512 F and BW.</summary>
internal readonly struct Lanes512(Vector512<uint> r0) : ILanes16<Lanes512>
{
    private readonly Vector512<uint> R0 = r0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Broadcast(uint value) =>
        new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadUpper16(ref readonly ushort source) =>
        Load16(in source) << 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load16(ref readonly ushort source) =>
        new(Widen16(in source, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load32(ref readonly float source) =>
        new(Vector512.LoadUnsafe(in source, 0).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load8(ref readonly byte source) =>
        new(Widen8(in source, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32(Lanes512 value, ref float target)
    {
        value.R0.AsSingle().StoreUnsafe(ref target, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(Lanes512 value, ref ushort target)
    {
        Avx512F.ConvertToVector256UInt16(value.R0).StoreUnsafe(ref target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store8(Lanes512 value, ref byte target)
    {
        Avx512F.ConvertToVector128Byte(value.R0).StoreUnsafe(ref target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddToDoubles(Lanes512 value, ref double sums)
    {
        (Vector512<double> lower, Vector512<double> upper) = Vector512.Widen(value.R0.AsSingle());
        (Vector512.LoadUnsafe(ref sums) + lower).StoreUnsafe(ref sums);
        (Vector512.LoadUnsafe(ref sums, 8) + upper).StoreUnsafe(ref sums, 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator +(Lanes512 left, Lanes512 right) =>
        new(left.R0 + right.R0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator -(Lanes512 left, Lanes512 right) =>
        new(left.R0 - right.R0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator &(Lanes512 left, Lanes512 right) =>
        new(left.R0 & right.R0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator |(Lanes512 left, Lanes512 right) =>
        new(left.R0 | right.R0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator ^(Lanes512 left, Lanes512 right) =>
        new(left.R0 ^ right.R0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator <<(Lanes512 value, int count) =>
        new(value.R0 << count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator >>>(Lanes512 value, int count) =>
        new(value.R0 >>> count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 AddF(Lanes512 left, Lanes512 right) =>
        new((left.R0.AsSingle() + right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 SubtractF(Lanes512 left, Lanes512 right) =>
        new((left.R0.AsSingle() - right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 MultiplyF(Lanes512 left, Lanes512 right) =>
        new((left.R0.AsSingle() * right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 DivideF(Lanes512 left, Lanes512 right) =>
        new((left.R0.AsSingle() / right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 FusedF(Lanes512 left, Lanes512 right, Lanes512 addend) =>
        new(Vector512.FusedMultiplyAdd(left.R0.AsSingle(), right.R0.AsSingle(), addend.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 MultiplyAddF(Lanes512 left, Lanes512 right, Lanes512 addend) =>
        new(Vector512.MultiplyAddEstimate(left.R0.AsSingle(), right.R0.AsSingle(), addend.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 MaxF(Lanes512 left, Lanes512 right) =>
        new(Vector512.MaxNative(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 MinF(Lanes512 left, Lanes512 right) =>
        new(Vector512.MinNative(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestF(Lanes512 value)
    {
        Vector512<float> all = value.R0.AsSingle();
        Vector256<float> half = Vector256.MaxNative(all.GetLower(), all.GetUpper());
        return Lanes128.Largest(Vector128.MaxNative(half.GetLower(), half.GetUpper()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 SwapPairs(Lanes512 value) =>
        new(Avx512F.Shuffle(value.R0, 0b10_11_00_01));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Max(Lanes512 left, Lanes512 right) =>
        new(Vector512.Max(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Min(Lanes512 left, Lanes512 right) =>
        new(Vector512.Min(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Less(Lanes512 left, Lanes512 right) =>
        new(Vector512.LessThan(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LessF(Lanes512 left, Lanes512 right) =>
        new(Vector512.LessThan(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Select(Lanes512 mask, Lanes512 whenSet, Lanes512 whenClear) =>
        new(Vector512.ConditionalSelect(mask.R0, whenSet.R0, whenClear.R0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Pick(Lanes512 table, Lanes512 index) =>
        new(Avx512F.PermuteVar16x32(table.R0, index.R0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint MaxLane(Lanes512 value)
    {
        Vector512<uint> all = value.R0;
        Vector256<uint> half = Vector256.Max(all.GetLower(), all.GetUpper());
        Vector128<uint> quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return Math.Max(Math.Max(quarter[0], quarter[1]), Math.Max(quarter[2], quarter[3]));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Widen16(ref readonly ushort source, nuint offset) =>
        Avx512F.ConvertToVector512Int32(Vector256.LoadUnsafe(in source, offset)).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Widen8(ref readonly byte source, nuint offset) =>
        Avx512F.ConvertToVector512Int32(Vector128.LoadUnsafe(in source, offset)).AsUInt32();
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Bitsmith.Tensors.InstructionSets;

/// <summary>Sixteen lanes in four 128-bit registers; portable, needs no particular instruction set.</summary>
internal readonly struct Lanes128(Vector128<uint> r0, Vector128<uint> r1, Vector128<uint> r2, Vector128<uint> r3) : ILanes16<Lanes128>
{
    private readonly Vector128<uint> R0 = r0;
    private readonly Vector128<uint> R1 = r1;
    private readonly Vector128<uint> R2 = r2;
    private readonly Vector128<uint> R3 = r3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Broadcast(uint value) =>
        new(Vector128.Create(value), Vector128.Create(value), Vector128.Create(value), Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadUpper16(ref readonly ushort source) =>
        Load16(in source) << 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load16(ref readonly ushort source) =>
        new(Widen16(in source, 0), Widen16(in source, 4), Widen16(in source, 8), Widen16(in source, 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load32(ref readonly float source) =>
        new(Vector128.LoadUnsafe(in source, 0).AsUInt32(), Vector128.LoadUnsafe(in source, 4).AsUInt32(), Vector128.LoadUnsafe(in source, 8).AsUInt32(), Vector128.LoadUnsafe(in source, 12).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load8(ref readonly byte source) =>
        new(Widen8(in source, 0), Widen8(in source, 4), Widen8(in source, 8), Widen8(in source, 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32(Lanes128 value, ref float target)
    {
        value.R0.AsSingle().StoreUnsafe(ref target, 0);
        value.R1.AsSingle().StoreUnsafe(ref target, 4);
        value.R2.AsSingle().StoreUnsafe(ref target, 8);
        value.R3.AsSingle().StoreUnsafe(ref target, 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(Lanes128 value, ref ushort target)
    {
        Vector128.Narrow(value.R0, value.R1).StoreUnsafe(ref target);
        Vector128.Narrow(value.R2, value.R3).StoreUnsafe(ref target, 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store8(Lanes128 value, ref byte target)
    {
        Vector128.Narrow(Vector128.Narrow(value.R0, value.R1), Vector128.Narrow(value.R2, value.R3)).StoreUnsafe(ref target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddToDoubles(Lanes128 value, ref double sums)
    {
        (Vector128<double> lower0, Vector128<double> upper0) = Vector128.Widen(value.R0.AsSingle());
        (Vector128.LoadUnsafe(ref sums, 0) + lower0).StoreUnsafe(ref sums, 0);
        (Vector128.LoadUnsafe(ref sums, 2) + upper0).StoreUnsafe(ref sums, 2);
        (Vector128<double> lower1, Vector128<double> upper1) = Vector128.Widen(value.R1.AsSingle());
        (Vector128.LoadUnsafe(ref sums, 4) + lower1).StoreUnsafe(ref sums, 4);
        (Vector128.LoadUnsafe(ref sums, 6) + upper1).StoreUnsafe(ref sums, 6);
        (Vector128<double> lower2, Vector128<double> upper2) = Vector128.Widen(value.R2.AsSingle());
        (Vector128.LoadUnsafe(ref sums, 8) + lower2).StoreUnsafe(ref sums, 8);
        (Vector128.LoadUnsafe(ref sums, 10) + upper2).StoreUnsafe(ref sums, 10);
        (Vector128<double> lower3, Vector128<double> upper3) = Vector128.Widen(value.R3.AsSingle());
        (Vector128.LoadUnsafe(ref sums, 12) + lower3).StoreUnsafe(ref sums, 12);
        (Vector128.LoadUnsafe(ref sums, 14) + upper3).StoreUnsafe(ref sums, 14);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator +(Lanes128 left, Lanes128 right) =>
        new(left.R0 + right.R0, left.R1 + right.R1, left.R2 + right.R2, left.R3 + right.R3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator -(Lanes128 left, Lanes128 right) =>
        new(left.R0 - right.R0, left.R1 - right.R1, left.R2 - right.R2, left.R3 - right.R3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator &(Lanes128 left, Lanes128 right) =>
        new(left.R0 & right.R0, left.R1 & right.R1, left.R2 & right.R2, left.R3 & right.R3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator |(Lanes128 left, Lanes128 right) =>
        new(left.R0 | right.R0, left.R1 | right.R1, left.R2 | right.R2, left.R3 | right.R3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator ^(Lanes128 left, Lanes128 right) =>
        new(left.R0 ^ right.R0, left.R1 ^ right.R1, left.R2 ^ right.R2, left.R3 ^ right.R3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator <<(Lanes128 value, int count) =>
        new(value.R0 << count, value.R1 << count, value.R2 << count, value.R3 << count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator >>>(Lanes128 value, int count) =>
        new(value.R0 >>> count, value.R1 >>> count, value.R2 >>> count, value.R3 >>> count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 AddF(Lanes128 left, Lanes128 right) =>
        new((left.R0.AsSingle() + right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() + right.R1.AsSingle()).AsUInt32(), (left.R2.AsSingle() + right.R2.AsSingle()).AsUInt32(), (left.R3.AsSingle() + right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 SubtractF(Lanes128 left, Lanes128 right) =>
        new((left.R0.AsSingle() - right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() - right.R1.AsSingle()).AsUInt32(), (left.R2.AsSingle() - right.R2.AsSingle()).AsUInt32(), (left.R3.AsSingle() - right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 MultiplyF(Lanes128 left, Lanes128 right) =>
        new((left.R0.AsSingle() * right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() * right.R1.AsSingle()).AsUInt32(), (left.R2.AsSingle() * right.R2.AsSingle()).AsUInt32(), (left.R3.AsSingle() * right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 DivideF(Lanes128 left, Lanes128 right) =>
        new((left.R0.AsSingle() / right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() / right.R1.AsSingle()).AsUInt32(), (left.R2.AsSingle() / right.R2.AsSingle()).AsUInt32(), (left.R3.AsSingle() / right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 FusedF(Lanes128 left, Lanes128 right, Lanes128 addend) =>
        new(Vector128.FusedMultiplyAdd(left.R0.AsSingle(), right.R0.AsSingle(), addend.R0.AsSingle()).AsUInt32(), Vector128.FusedMultiplyAdd(left.R1.AsSingle(), right.R1.AsSingle(), addend.R1.AsSingle()).AsUInt32(), Vector128.FusedMultiplyAdd(left.R2.AsSingle(), right.R2.AsSingle(), addend.R2.AsSingle()).AsUInt32(), Vector128.FusedMultiplyAdd(left.R3.AsSingle(), right.R3.AsSingle(), addend.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 MultiplyAddF(Lanes128 left, Lanes128 right, Lanes128 addend) =>
        new(Vector128.MultiplyAddEstimate(left.R0.AsSingle(), right.R0.AsSingle(), addend.R0.AsSingle()).AsUInt32(), Vector128.MultiplyAddEstimate(left.R1.AsSingle(), right.R1.AsSingle(), addend.R1.AsSingle()).AsUInt32(), Vector128.MultiplyAddEstimate(left.R2.AsSingle(), right.R2.AsSingle(), addend.R2.AsSingle()).AsUInt32(), Vector128.MultiplyAddEstimate(left.R3.AsSingle(), right.R3.AsSingle(), addend.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 MaxF(Lanes128 left, Lanes128 right) =>
        new(Vector128.MaxNative(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32(), Vector128.MaxNative(left.R1.AsSingle(), right.R1.AsSingle()).AsUInt32(), Vector128.MaxNative(left.R2.AsSingle(), right.R2.AsSingle()).AsUInt32(), Vector128.MaxNative(left.R3.AsSingle(), right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 MinF(Lanes128 left, Lanes128 right) =>
        new(Vector128.MinNative(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32(), Vector128.MinNative(left.R1.AsSingle(), right.R1.AsSingle()).AsUInt32(), Vector128.MinNative(left.R2.AsSingle(), right.R2.AsSingle()).AsUInt32(), Vector128.MinNative(left.R3.AsSingle(), right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestF(Lanes128 value)
    {
        Vector128<float> lower = Vector128.MaxNative(value.R0.AsSingle(), value.R1.AsSingle());
        return Largest(Vector128.MaxNative(lower, Vector128.MaxNative(value.R2.AsSingle(), value.R3.AsSingle())));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 SwapPairs(Lanes128 value) =>
        new(Swap(value.R0), Swap(value.R1), Swap(value.R2), Swap(value.R3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Largest(Vector128<float> quarter)
    {
        Vector128<float> pairs = Vector128.MaxNative(quarter, Vector128.Shuffle(quarter, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(pairs, Vector128.Shuffle(pairs, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Max(Lanes128 left, Lanes128 right) =>
        new(Vector128.Max(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32(), Vector128.Max(left.R1.AsInt32(), right.R1.AsInt32()).AsUInt32(), Vector128.Max(left.R2.AsInt32(), right.R2.AsInt32()).AsUInt32(), Vector128.Max(left.R3.AsInt32(), right.R3.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Min(Lanes128 left, Lanes128 right) =>
        new(Vector128.Min(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32(), Vector128.Min(left.R1.AsInt32(), right.R1.AsInt32()).AsUInt32(), Vector128.Min(left.R2.AsInt32(), right.R2.AsInt32()).AsUInt32(), Vector128.Min(left.R3.AsInt32(), right.R3.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Less(Lanes128 left, Lanes128 right) =>
        new(Vector128.LessThan(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32(), Vector128.LessThan(left.R1.AsInt32(), right.R1.AsInt32()).AsUInt32(), Vector128.LessThan(left.R2.AsInt32(), right.R2.AsInt32()).AsUInt32(), Vector128.LessThan(left.R3.AsInt32(), right.R3.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LessF(Lanes128 left, Lanes128 right) =>
        new(Vector128.LessThan(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32(), Vector128.LessThan(left.R1.AsSingle(), right.R1.AsSingle()).AsUInt32(), Vector128.LessThan(left.R2.AsSingle(), right.R2.AsSingle()).AsUInt32(), Vector128.LessThan(left.R3.AsSingle(), right.R3.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Select(Lanes128 mask, Lanes128 whenSet, Lanes128 whenClear) =>
        new(Vector128.ConditionalSelect(mask.R0, whenSet.R0, whenClear.R0), Vector128.ConditionalSelect(mask.R1, whenSet.R1, whenClear.R1), Vector128.ConditionalSelect(mask.R2, whenSet.R2, whenClear.R2), Vector128.ConditionalSelect(mask.R3, whenSet.R3, whenClear.R3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Pick(Lanes128 table, Lanes128 index) =>
        new(PickFour(table, index.R0), PickFour(table, index.R1), PickFour(table, index.R2), PickFour(table, index.R3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint MaxLane(Lanes128 value)
    {
        Vector128<uint> quarter = Vector128.Max(Vector128.Max(value.R0, value.R1), Vector128.Max(value.R2, value.R3));
        return Math.Max(Math.Max(quarter[0], quarter[1]), Math.Max(quarter[2], quarter[3]));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> PickFour(Lanes128 table, Vector128<uint> index)
    {
        Vector128<uint> place = index & Vector128.Create(3u), quarter = index & Vector128.Create(12u);
        Vector128<uint> lower = Vector128.ConditionalSelect(Vector128.Equals(quarter, Vector128<uint>.Zero), Within(table.R0, place), Within(table.R1, place));
        Vector128<uint> upper = Vector128.ConditionalSelect(Vector128.Equals(quarter, Vector128.Create(8u)), Within(table.R2, place), Within(table.R3, place));
        return Vector128.ConditionalSelect(Vector128.LessThan(quarter, Vector128.Create(8u)), lower, upper);
    }

    // The four bytes of element i are bytes 4i to 4i + 3.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Within(Vector128<uint> quarter, Vector128<uint> place) =>
        Vector128.Shuffle(quarter.AsByte(), ((place * 0x0404_0404u) + Vector128.Create(0x0302_0100u)).AsByte()).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Swap(Vector128<uint> register) => Vector128.Shuffle(register, Vector128.Create(1u, 0, 3, 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Widen16(ref readonly ushort source, nuint offset) =>
        Vector128.WidenLower(Vector64.LoadUnsafe(in source, offset).ToVector128Unsafe());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Widen8(ref readonly byte source, nuint offset)
    {
        Vector128<uint> bytes = Vector128.CreateScalar(Unsafe.ReadUnaligned<uint>(in Unsafe.Add(ref Unsafe.AsRef(in source), offset)));
        return Vector128.WidenLower(Vector128.WidenLower(bytes.AsByte()));
    }
}

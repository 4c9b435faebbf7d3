using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Bitsmith.Tensors.InstructionSets;

/// <summary>Sixteen lanes in two 256-bit registers; needs AVX2.</summary>
internal readonly struct Lanes256(Vector256<uint> r0, Vector256<uint> r1) : ILanes16<Lanes256>
{
    private readonly Vector256<uint> R0 = r0;
    private readonly Vector256<uint> R1 = r1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Broadcast(uint value) =>
        new(Vector256.Create(value), Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadUpper16(ref readonly ushort source) =>
        Load16(in source) << 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load16(ref readonly ushort source) =>
        new(Widen16(in source, 0), Widen16(in source, 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load32(ref readonly float source) =>
        new(Vector256.LoadUnsafe(in source, 0).AsUInt32(), Vector256.LoadUnsafe(in source, 8).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load8(ref readonly byte source) =>
        new(Widen8(in source, 0), Widen8(in source, 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32(Lanes256 value, ref float target)
    {
        value.R0.AsSingle().StoreUnsafe(ref target, 0);
        value.R1.AsSingle().StoreUnsafe(ref target, 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(Lanes256 value, ref ushort target)
    {
        Vector256.Narrow(value.R0, value.R1).StoreUnsafe(ref target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store8(Lanes256 value, ref byte target)
    {
        Vector256<ushort> words = Vector256.Narrow(value.R0, value.R1);
        Vector128.Narrow(words.GetLower(), words.GetUpper()).StoreUnsafe(ref target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddToDoubles(Lanes256 value, ref double sums)
    {
        (Vector256<double> lower0, Vector256<double> upper0) = Vector256.Widen(value.R0.AsSingle());
        (Vector256.LoadUnsafe(ref sums, 0) + lower0).StoreUnsafe(ref sums, 0);
        (Vector256.LoadUnsafe(ref sums, 4) + upper0).StoreUnsafe(ref sums, 4);
        (Vector256<double> lower1, Vector256<double> upper1) = Vector256.Widen(value.R1.AsSingle());
        (Vector256.LoadUnsafe(ref sums, 8) + lower1).StoreUnsafe(ref sums, 8);
        (Vector256.LoadUnsafe(ref sums, 12) + upper1).StoreUnsafe(ref sums, 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator +(Lanes256 left, Lanes256 right) =>
        new(left.R0 + right.R0, left.R1 + right.R1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator -(Lanes256 left, Lanes256 right) =>
        new(left.R0 - right.R0, left.R1 - right.R1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator &(Lanes256 left, Lanes256 right) =>
        new(left.R0 & right.R0, left.R1 & right.R1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator |(Lanes256 left, Lanes256 right) =>
        new(left.R0 | right.R0, left.R1 | right.R1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator ^(Lanes256 left, Lanes256 right) =>
        new(left.R0 ^ right.R0, left.R1 ^ right.R1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator <<(Lanes256 value, int count) =>
        new(value.R0 << count, value.R1 << count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator >>>(Lanes256 value, int count) =>
        new(value.R0 >>> count, value.R1 >>> count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 AddF(Lanes256 left, Lanes256 right) =>
        new((left.R0.AsSingle() + right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() + right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 SubtractF(Lanes256 left, Lanes256 right) =>
        new((left.R0.AsSingle() - right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() - right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MultiplyF(Lanes256 left, Lanes256 right) =>
        new((left.R0.AsSingle() * right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() * right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 DivideF(Lanes256 left, Lanes256 right) =>
        new((left.R0.AsSingle() / right.R0.AsSingle()).AsUInt32(), (left.R1.AsSingle() / right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 FusedF(Lanes256 left, Lanes256 right, Lanes256 addend) =>
        new(Vector256.FusedMultiplyAdd(left.R0.AsSingle(), right.R0.AsSingle(), addend.R0.AsSingle()).AsUInt32(), Vector256.FusedMultiplyAdd(left.R1.AsSingle(), right.R1.AsSingle(), addend.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MultiplyAddF(Lanes256 left, Lanes256 right, Lanes256 addend) =>
        new(Vector256.MultiplyAddEstimate(left.R0.AsSingle(), right.R0.AsSingle(), addend.R0.AsSingle()).AsUInt32(), Vector256.MultiplyAddEstimate(left.R1.AsSingle(), right.R1.AsSingle(), addend.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MaxF(Lanes256 left, Lanes256 right) =>
        new(Vector256.MaxNative(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32(), Vector256.MaxNative(left.R1.AsSingle(), right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MinF(Lanes256 left, Lanes256 right) =>
        new(Vector256.MinNative(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32(), Vector256.MinNative(left.R1.AsSingle(), right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestF(Lanes256 value)
    {
        Vector256<float> half = Vector256.MaxNative(value.R0.AsSingle(), value.R1.AsSingle());
        return Lanes128.Largest(Vector128.MaxNative(half.GetLower(), half.GetUpper()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 SwapPairs(Lanes256 value) =>
        new(Avx2.Shuffle(value.R0, 0b10_11_00_01), Avx2.Shuffle(value.R1, 0b10_11_00_01));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Max(Lanes256 left, Lanes256 right) =>
        new(Vector256.Max(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32(), Vector256.Max(left.R1.AsInt32(), right.R1.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Min(Lanes256 left, Lanes256 right) =>
        new(Vector256.Min(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32(), Vector256.Min(left.R1.AsInt32(), right.R1.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Less(Lanes256 left, Lanes256 right) =>
        new(Vector256.LessThan(left.R0.AsInt32(), right.R0.AsInt32()).AsUInt32(), Vector256.LessThan(left.R1.AsInt32(), right.R1.AsInt32()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LessF(Lanes256 left, Lanes256 right) =>
        new(Vector256.LessThan(left.R0.AsSingle(), right.R0.AsSingle()).AsUInt32(), Vector256.LessThan(left.R1.AsSingle(), right.R1.AsSingle()).AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Select(Lanes256 mask, Lanes256 whenSet, Lanes256 whenClear) =>
        new(Vector256.ConditionalSelect(mask.R0, whenSet.R0, whenClear.R0), Vector256.ConditionalSelect(mask.R1, whenSet.R1, whenClear.R1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Pick(Lanes256 table, Lanes256 index) =>
        new(PickEight(table, index.R0), PickEight(table, index.R1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint MaxLane(Lanes256 value)
    {
        Vector256<uint> all = Vector256.Max(value.R0, value.R1);
        Vector128<uint> quarter = Vector128.Max(all.GetLower(), all.GetUpper());
        return Math.Max(Math.Max(quarter[0], quarter[1]), Math.Max(quarter[2], quarter[3]));
    }

    // The permutation takes three bits of the index; the fourth, moved to the sign, chooses between the halves of the table.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> PickEight(Lanes256 table, Vector256<uint> index)
    {
        Vector256<float> lower = Avx2.PermuteVar8x32(table.R0, index).AsSingle(), upper = Avx2.PermuteVar8x32(table.R1, index).AsSingle();
        return Avx.BlendVariable(lower, upper, (index << 28).AsSingle()).AsUInt32();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Widen16(ref readonly ushort source, nuint offset) =>
        Avx2.ConvertToVector256Int32(Vector128.LoadUnsafe(in source, offset)).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Widen8(ref readonly byte source, nuint offset)
    {
        Vector64<byte> bytes = Vector64.LoadUnsafe(in source, offset);
        return Avx2.ConvertToVector256Int32(bytes.ToVector128Unsafe()).AsUInt32();
    }
}

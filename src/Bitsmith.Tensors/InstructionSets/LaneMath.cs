using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Bitsmith.Tensors.InstructionSets;

/// <summary>Element type conversions on sixteen lanes, and loads and stores by element size.</summary>
internal static class LaneMath
{
    /// <summary>Elements in a step.</summary>
    public const int Width = 16;

    private const uint Sign = 0x8000_0000, Magnitude = 0x7FFF_FFFF, Infinity = 0x7F80_0000;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Single<TLanes>(float value) where TLanes : struct, ILanes16<TLanes> =>
        TLanes.Broadcast(BitConverter.SingleToUInt32Bits(value));

    /// <summary>Loads sixteen elements of 1, 2 or 4 bytes, zero-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes, T>(ref readonly T source)
        where TLanes : struct, ILanes16<TLanes>
        where T : unmanaged
    {
        ref T place = ref Unsafe.AsRef(in source);
        if (Unsafe.SizeOf<T>() == 1)
        {
            return TLanes.Load8(in Unsafe.As<T, byte>(ref place));
        }

        return Unsafe.SizeOf<T>() == 2
            ? TLanes.Load16(in Unsafe.As<T, ushort>(ref place))
            : TLanes.Load32(in Unsafe.As<T, float>(ref place));
    }

    /// <summary>Stores the low 1, 2 or 4 bytes of sixteen lanes; what is cut off must be zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<TLanes, T>(TLanes value, ref T target)
        where TLanes : struct, ILanes16<TLanes>
        where T : unmanaged
    {
        if (Unsafe.SizeOf<T>() == 1)
        {
            TLanes.Store8(value, ref Unsafe.As<T, byte>(ref target));
        }
        else if (Unsafe.SizeOf<T>() == 2)
        {
            TLanes.Store16(value, ref Unsafe.As<T, ushort>(ref target));
        }
        else
        {
            TLanes.Store32(value, ref Unsafe.As<T, float>(ref target));
        }
    }

    /// <summary>Loads fewer than sixteen elements; the missing ones are zero.</summary>
    public static TLanes LoadTail<TLanes, T>(ReadOnlySpan<T> source)
        where TLanes : struct, ILanes16<TLanes>
        where T : unmanaged
    {
        Span<T> padded = stackalloc T[Width];
        padded.Clear();
        source.CopyTo(padded);
        return Load<TLanes, T>(in MemoryMarshal.GetReference(padded));
    }

    /// <summary>Stores the first elements of sixteen lanes, as many as the target holds.</summary>
    public static void StoreTail<TLanes, T>(TLanes value, Span<T> target)
        where TLanes : struct, ILanes16<TLanes>
        where T : unmanaged
    {
        Span<T> padded = stackalloc T[Width];
        Store(value, ref MemoryMarshal.GetReference(padded));
        padded[..target.Length].CopyTo(target);
    }

    /// <summary>Binary32 to the 16 bits of bfloat16, nearest even; NaN becomes quiet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToBFloat16<TLanes>(TLanes x) where TLanes : struct, ILanes16<TLanes>
    {
        TLanes rounded = (x + TLanes.Broadcast(0x7FFF) + ((x >>> 16) & TLanes.Broadcast(1))) >>> 16;
        TLanes nan = TLanes.Less(TLanes.Broadcast(Infinity), x & TLanes.Broadcast(Magnitude));
        return TLanes.Select(nan, (x >>> 16) | TLanes.Broadcast(0x40), rounded);
    }

    /// <summary>Binary32 rounded to bfloat16 precision, nearest even. Not for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes RoundToBFloat16<TLanes>(TLanes x) where TLanes : struct, ILanes16<TLanes> =>
        (x + TLanes.Broadcast(0x7FFF) + ((x >>> 16) & TLanes.Broadcast(1))) & TLanes.Broadcast(0xFFFF_0000);

    /// <summary>The 16 bits of a binary16 to binary32, exact; NaN becomes quiet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes FromHalf<TLanes>(TLanes h) where TLanes : struct, ILanes16<TLanes>
    {
        TLanes magnitude = (h & TLanes.Broadcast(0x7FFF)) << 13;
        // The exponent field lands 112 too low; the product puts it right, for subnormals too.
        TLanes finite = TLanes.MultiplyF(magnitude, Single<TLanes>(5192296858534827628530496329220096f)); // 2^112
        TLanes special = magnitude | TLanes.Broadcast(Infinity);
        TLanes isSpecial = TLanes.Less(TLanes.Broadcast((0x7C00u << 13) - 1), magnitude);
        TLanes isNaN = TLanes.Less(TLanes.Broadcast(0x7C00u << 13), magnitude);
        special |= isNaN & TLanes.Broadcast(0x40_0000);
        return TLanes.Select(isSpecial, special, finite) | ((h & TLanes.Broadcast(0x8000)) << 16);
    }

    /// <summary>Binary32 to the 16 bits of binary16, nearest even; overflow gives infinity, NaN becomes quiet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToHalf<TLanes>(TLanes x) where TLanes : struct, ILanes16<TLanes>
    {
        TLanes a = x & TLanes.Broadcast(Magnitude);
        TLanes normal = ((a + TLanes.Broadcast(0xFFF) + ((a >>> 13) & TLanes.Broadcast(1))) >>> 13) - TLanes.Broadcast(112 << 10);
        // Adding 0.5 aligns the last bit with 2^-24, the unit of binary16 subnormals: the addition does the rounding.
        TLanes subnormal = TLanes.AddF(a, Single<TLanes>(0.5f)) - TLanes.Broadcast(0x3F00_0000);
        TLanes result = TLanes.Select(TLanes.Less(a, TLanes.Broadcast(0x3880_0000)), subnormal, normal);
        result = TLanes.Select(TLanes.Less(a, TLanes.Broadcast(0x477F_F000)), result, TLanes.Broadcast(0x7C00)); // from 65520 on
        TLanes nan = ((a >>> 13) & TLanes.Broadcast(0x3FF)) | TLanes.Broadcast(0x7E00);
        result = TLanes.Select(TLanes.Less(TLanes.Broadcast(Infinity), a), nan, result);
        return result | ((x & TLanes.Broadcast(Sign)) >>> 16);
    }

    /// <summary>The e4m3fn code to binary32, exact; the NaN codes give a quiet NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes FromE4M3<TLanes>(TLanes code) where TLanes : struct, ILanes16<TLanes>
    {
        TLanes magnitude = code & TLanes.Broadcast(0x7F);
        TLanes finite = TLanes.MultiplyF(magnitude << 20, Single<TLanes>(1329227995784915872903807060280344576f)); // 2^120
        TLanes nan = TLanes.Less(TLanes.Broadcast(0x7E), magnitude);
        return TLanes.Select(nan, TLanes.Broadcast(0x7FC0_0000), finite) | ((code & TLanes.Broadcast(0x80)) << 24);
    }

    /// <summary>
    /// Magnitudes of at most 448 to e4m3fn, nearest even: the code, and the value it stands for.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (TLanes Code, TLanes Value) RoundToE4M3<TLanes>(TLanes a) where TLanes : struct, ILanes16<TLanes>
    {
        TLanes normal = a + TLanes.Broadcast(0x7FFFF) + ((a >>> 20) & TLanes.Broadcast(1));
        // 2^14 has its last bit at 2^-9, the unit of e4m3 subnormals: the addition does the rounding.
        TLanes bias = Single<TLanes>(16384f);
        TLanes shifted = TLanes.AddF(a, bias);
        TLanes isSubnormal = TLanes.Less(a, TLanes.Broadcast(0x3C80_0000)); // 2^-6
        return (
            TLanes.Select(isSubnormal, shifted - bias, (normal >>> 20) - TLanes.Broadcast(120 << 3)),
            TLanes.Select(isSubnormal, TLanes.SubtractF(shifted, bias), normal & TLanes.Broadcast(0xFFF0_0000)));
    }

    /// <summary>Binary32 to e4m3fn, nearest even, saturating at 448; NaN gives 0x7F with the sign kept.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToE4M3<TLanes>(TLanes x) where TLanes : struct, ILanes16<TLanes>
    {
        TLanes a = x & TLanes.Broadcast(Magnitude);
        TLanes nan = TLanes.Less(TLanes.Broadcast(Infinity), a);
        TLanes code = RoundToE4M3(TLanes.Min(a, Single<TLanes>(448f))).Code;
        return TLanes.Select(nan, TLanes.Broadcast(0x7F), code) | ((x & TLanes.Broadcast(Sign)) >>> 24);
    }
}

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.ElementTypes;

/// <summary>
/// Converts runs of BF16, F16, F8_E4M3 and F32 elements to and from binary32. Widening is exact; narrowing rounds to nearest,
/// ties to even. F8_E4M3 saturates at 448, the others overflow to infinity. NaN stays NaN with its sign; narrowing makes it quiet. Every instruction
/// set gives the same bits as <see cref="InstructionSet.Scalar"/>.
/// </summary>
public static class ElementConversion
{
    /// <summary>Widens elements to binary32.</summary>
    /// <param name="type">F32, F16, BF16 or F8_E4M3.</param>
    /// <param name="source">The elements, little endian; exactly as many as <paramref name="target"/> holds.</param>
    /// <param name="target">Receives the values.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">The lengths do not fit, or the type has no conversion.</exception>
    public static void ToSingle(
        ElementType type, ReadOnlySpan<byte> source, Span<float> target, InstructionSet? instructionSet = null)
    {
        Check(type, source.Length, target.Length);
        InstructionSet set = instructionSet ?? Cpu.Default;
        switch (type)
        {
            case ElementType.F32:
                MemoryMarshal.Cast<byte, float>(source).CopyTo(target);
                break;
            case ElementType.BF16:
                Map<ushort, float, BFloat16ToSingle>(MemoryMarshal.Cast<byte, ushort>(source), target, set);
                break;
            case ElementType.F16:
                Map<ushort, float, HalfToSingle>(MemoryMarshal.Cast<byte, ushort>(source), target, set);
                break;
            default:
                Map<byte, float, E4M3ToSingle>(source, target, set);
                break;
        }
    }

    /// <summary>Rounds binary32 values to elements.</summary>
    /// <param name="type">F32, F16, BF16 or F8_E4M3.</param>
    /// <param name="source">The values.</param>
    /// <param name="target">Receives the elements, little endian; holds exactly as many.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">The lengths do not fit, or the type has no conversion.</exception>
    public static void FromSingle(
        ElementType type, ReadOnlySpan<float> source, Span<byte> target, InstructionSet? instructionSet = null)
    {
        Check(type, target.Length, source.Length);
        InstructionSet set = instructionSet ?? Cpu.Default;
        switch (type)
        {
            case ElementType.F32:
                MemoryMarshal.AsBytes(source).CopyTo(target);
                break;
            case ElementType.BF16:
                Map<float, ushort, SingleToBFloat16>(source, MemoryMarshal.Cast<byte, ushort>(target), set);
                break;
            case ElementType.F16:
                Map<float, ushort, SingleToHalf>(source, MemoryMarshal.Cast<byte, ushort>(target), set);
                break;
            default:
                Map<float, byte, SingleToE4M3>(source, target, set);
                break;
        }
    }

    /// <summary>The largest magnitude of elements; where one is NaN or infinite, the first such.</summary>
    /// <param name="type">F32, F16 or BF16.</param>
    /// <param name="source">The elements, little endian.</param>
    /// <param name="nonFinite">Receives the index of the first element that is NaN or infinite, or -1.</param>
    /// <exception cref="ArgumentException">The type is no other, or the bytes are no whole number of elements.</exception>
    public static float LargestMagnitude(ElementType type, ReadOnlySpan<byte> source, out int nonFinite)
    {
        Check(type, source.Length, source.Length / type.Bytes());
        // Magnitudes, infinities and NaN included, are ordered as the integers that their bits are.
        float largest = 0;
        switch (type)
        {
            case ElementType.F32:
                largest = BitConverter.UInt32BitsToSingle(Largest(MemoryMarshal.Cast<byte, uint>(source), 0x7FFF_FFFFu));
                break;
            case ElementType.F16:
                largest = (float)BitConverter.UInt16BitsToHalf(Largest(MemoryMarshal.Cast<byte, ushort>(source), (ushort)0x7FFF));
                break;
            case ElementType.BF16:
                largest = new BFloat16(Largest(MemoryMarshal.Cast<byte, ushort>(source), (ushort)0x7FFF)).ToSingle();
                break;
            default:
                throw new ArgumentException($"{type.SafetensorsName()} is no type of weights.", nameof(type));
        }

        Span<float> value = [0];
        for (nonFinite = float.IsFinite(largest) ? -1 : 0; nonFinite >= 0; nonFinite++)
        {
            ToSingle(type, source.Slice(nonFinite * type.Bytes(), type.Bytes()), value);
            if (!float.IsFinite(value[0]))
            {
                return value[0];
            }
        }

        return largest;
    }

    private static T Largest<T>(ReadOnlySpan<T> values, T magnitude)
        where T : unmanaged, IBinaryInteger<T>
    {
        Vector<T> mask = new(magnitude), most = default;
        int i = 0;
        for (; i <= values.Length - Vector<T>.Count; i += Vector<T>.Count)
        {
            most = Vector.Max(most, new Vector<T>(values[i..]) & mask);
        }

        T largest = T.Zero;
        for (int lane = 0; lane < Vector<T>.Count; lane++)
        {
            largest = T.Max(largest, most[lane]);
        }

        for (; i < values.Length; i++)
        {
            largest = T.Max(largest, values[i] & magnitude);
        }

        return largest;
    }

    private static void Check(ElementType type, int bytes, int elements)
    {
        if (!type.IsWeightFloat() && type != ElementType.F8E4M3)
        {
            throw new ArgumentException($"{type.SafetensorsName()} has no conversion to F32; F32, F16, BF16 and F8_E4M3 have.", nameof(type));
        }

        if (bytes != (long)elements * type.Bytes())
        {
            throw new ArgumentException($"{bytes} bytes cannot hold exactly {elements} elements of {type.SafetensorsName()}.");
        }
    }

    private static void Map<TSource, TTarget, TConversion>(ReadOnlySpan<TSource> source, Span<TTarget> target, InstructionSet set)
        where TSource : unmanaged
        where TTarget : unmanaged
        where TConversion : struct, IConversion<TSource, TTarget>
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                MapLanes<Lanes512, TSource, TTarget, TConversion>(source, target);
                break;
            case InstructionSet.Avx2:
                MapLanes<Lanes256, TSource, TTarget, TConversion>(source, target);
                break;
            case InstructionSet.Vector128:
                MapLanes<Lanes128, TSource, TTarget, TConversion>(source, target);
                break;
            default:
                for (int i = 0; i < source.Length; i++)
                {
                    target[i] = TConversion.Scalar(source[i]);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MapLanes<TLanes, TSource, TTarget, TConversion>(ReadOnlySpan<TSource> source, Span<TTarget> target)
        where TLanes : struct, ILanes16<TLanes>
        where TSource : unmanaged
        where TTarget : unmanaged
        where TConversion : struct, IConversion<TSource, TTarget>
    {
        int i = 0;
        for (; i <= source.Length - LaneMath.Width; i += LaneMath.Width)
        {
            LaneMath.Store(TConversion.Lanes(LaneMath.Load<TLanes, TSource>(in source[i])), ref target[i]);
        }

        if (i < source.Length)
        {
            LaneMath.StoreTail(TConversion.Lanes(LaneMath.LoadTail<TLanes, TSource>(source[i..])), target[i..]);
        }
    }

    private interface IConversion<TSource, TTarget>
    {
        static abstract TTarget Scalar(TSource value);

        static abstract TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes>;
    }

    private readonly struct BFloat16ToSingle : IConversion<ushort, float>
    {
        public static float Scalar(ushort value) => new BFloat16(value).ToSingle();

        public static TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => value << 16;
    }

    private readonly struct SingleToBFloat16 : IConversion<float, ushort>
    {
        public static ushort Scalar(float value) => BFloat16.FromSingle(value).Bits;

        public static TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.ToBFloat16(value);
    }

    private readonly struct HalfToSingle : IConversion<ushort, float>
    {
        public static float Scalar(ushort value) => (float)BitConverter.UInt16BitsToHalf(value);

        public static TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.FromHalf(value);
    }

    private readonly struct SingleToHalf : IConversion<float, ushort>
    {
        public static ushort Scalar(float value) => BitConverter.HalfToUInt16Bits((Half)value);

        public static TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.ToHalf(value);
    }

    private readonly struct E4M3ToSingle : IConversion<byte, float>
    {
        public static float Scalar(byte value) => new Float8E4M3(value).ToSingle();

        public static TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.FromE4M3(value);
    }

    private readonly struct SingleToE4M3 : IConversion<float, byte>
    {
        public static byte Scalar(float value) => Float8E4M3.FromSingle(value).Bits;

        public static TLanes Lanes<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.ToE4M3(value);
    }
}

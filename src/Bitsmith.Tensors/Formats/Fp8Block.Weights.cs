using System.Runtime.CompilerServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

public static partial class Fp8Block
{
    /// <summary>The weight's element type T: how it is read and how a binary32 is rounded to it.</summary>
    private interface IWeights<T>
        where T : unmanaged
    {
        /// <summary>Machine epsilon: the scale of a block that would otherwise have none.</summary>
        static abstract float Epsilon { get; }

        /// <summary>
        /// True where T(w * (1/scale)) always equals T(w / scale). For BF16 it does: w and scale have 8 significant bits and the midpoints
        /// between neighbouring values of T have 9, so a quotient is at least 2^-17 (relative) away from every midpoint, while
        /// the reciprocal and the product are each off by at most 2^-24. A test runs through all significands.
        /// </summary>
        static abstract bool ReciprocalIsExact { get; }

        static abstract float ToSingle(T value);

        static abstract T FromSingle(float value);

        static abstract float Round(float value);

        static abstract TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes>;

        static abstract TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes>;
    }

    private readonly struct BFloat16Weights : IWeights<ushort>
    {
        public static float Epsilon => BFloat16.Epsilon;

        public static bool ReciprocalIsExact => true;

        public static float ToSingle(ushort value) => new BFloat16(value).ToSingle();

        public static ushort FromSingle(float value) => BFloat16.FromSingle(value).Bits;

        public static float Round(float value) => BFloat16.Round(value);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes> => bits << 16;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => LaneMath.RoundToBFloat16(value);
    }

    private readonly struct HalfWeights : IWeights<ushort>
    {
        public static float Epsilon => 1f / 1024;

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

    private readonly struct SingleWeights : IWeights<float>
    {
        public static float Epsilon => 1f / (1 << 23);

        public static bool ReciprocalIsExact => false;

        public static float ToSingle(float value) => value;

        public static float FromSingle(float value) => value;

        public static float Round(float value) => value;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes ToSingle<TLanes>(TLanes bits) where TLanes : struct, ILanes16<TLanes> => bits;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Round<TLanes>(TLanes value) where TLanes : struct, ILanes16<TLanes> => value;
    }
}

using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Scales stored as binary16.</summary>
internal static class HalfScale
{
    private const float Largest = 65504, Vanishing = 1e-38f;
    private const int Infinity = 0x7C00;

    /// <summary>Rounds to binary16, nearest even; what is too large becomes the largest finite value, so that no block decodes to infinities.</summary>
    public static Half Of(float value) => (Half)Math.Clamp(value, -Largest, Largest);

    /// <summary>The value after <see cref="Of"/>.</summary>
    public static float Round(float value) => (float)Of(value);

    /// <summary>The values after <see cref="Of"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Round<TLanes>(TLanes value)
        where TLanes : struct, ILanes16<TLanes> =>
        LaneMath.FromHalf(LaneMath.ToHalf(TLanes.MinF(TLanes.MaxF(value, LaneMath.Single<TLanes>(-Largest)), LaneMath.Single<TLanes>(Largest))));

    /// <summary>1 / scale, or 0 where that is no finite number.</summary>
    public static float Inverse(float scale) => Math.Abs(scale) < Vanishing ? 0 : 1 / scale;

    /// <summary>1 / scale, or 0 where that is no finite number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Inverse<TLanes>(TLanes scale)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.Select(
            TLanes.LessF(scale & TLanes.Broadcast(0x7FFF_FFFF), LaneMath.Single<TLanes>(Vanishing)), TLanes.Broadcast(0), TLanes.DivideF(LaneMath.Single<TLanes>(1), scale));

    /// <summary>Reads binary16. A cast from Half is a call; this is a product, exact for subnormal numbers too.</summary>
    public static float Read(ReadOnlySpan<byte> source)
    {
        int bits = BinaryPrimitives.ReadUInt16LittleEndian(source);
        if ((bits & Infinity) == Infinity)
        {
            return (float)BitConverter.UInt16BitsToHalf((ushort)bits);
        }

        // The exponent field lands 112 too low.
        float magnitude = BitConverter.Int32BitsToSingle((bits & 0x7FFF) << 13) * 5192296858534827628530496329220096f;
        return BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(magnitude) | ((bits & 0x8000) << 16));
    }

    public static void Write(Span<byte> target, float value) => BinaryPrimitives.WriteHalfLittleEndian(target, Of(value));
}

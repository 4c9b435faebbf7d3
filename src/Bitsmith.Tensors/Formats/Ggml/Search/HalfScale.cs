using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Scales stored as binary16.</summary>
internal static class HalfScale
{
    private const float Largest = 65504, Vanishing = 1e-38f;

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

    public static float Read(ReadOnlySpan<byte> source) => (float)BinaryPrimitives.ReadHalfLittleEndian(source);

    public static void Write(Span<byte> target, float value) => BinaryPrimitives.WriteHalfLittleEndian(target, Of(value));
}

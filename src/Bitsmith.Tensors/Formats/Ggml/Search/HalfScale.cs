using System.Buffers.Binary;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Scales stored as binary16.</summary>
internal static class HalfScale
{
    private const float Largest = 65504;

    /// <summary>Rounds to binary16, nearest even; what is too large becomes the largest finite value, so that no block decodes to infinities.</summary>
    public static Half Of(float value) => (Half)Math.Clamp(value, -Largest, Largest);

    /// <summary>The value after <see cref="Of"/>.</summary>
    public static float Round(float value) => (float)Of(value);

    /// <summary>1 / scale, or 0 where that is no finite number.</summary>
    public static float Inverse(float scale) => Math.Abs(scale) < 1e-38f ? 0 : 1 / scale;

    public static float Read(ReadOnlySpan<byte> source) => (float)BinaryPrimitives.ReadHalfLittleEndian(source);

    public static void Write(Span<byte> target, float value) => BinaryPrimitives.WriteHalfLittleEndian(target, Of(value));
}

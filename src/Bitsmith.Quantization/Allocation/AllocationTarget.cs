using System.Globalization;

namespace Bitsmith.Quantization.Allocation;

/// <summary>How large a result may be: bits per weight, or bytes.</summary>
/// <param name="BitsPerWeight">Bits of all tensors for each element of the original model; null where bytes are given.</param>
/// <param name="FileBytes">Bytes of all files; null where bits are given.</param>
public sealed record AllocationTarget(double? BitsPerWeight, long? FileBytes)
{
    /// <summary>So many bits for each element of the original model, in tensors alone: without header, padding between tensors and vision tower.</summary>
    public static AllocationTarget Bits(double bits) => new(bits, null);

    /// <summary>So many bytes in all files together.</summary>
    public static AllocationTarget Bytes(long bytes) => new(null, bytes);

    /// <summary>The bytes that tensors may take at most.</summary>
    /// <param name="elements">Elements of the original model.</param>
    internal long TensorBytes(long elements) => BitsPerWeight is { } bits ? (long)Math.Min(long.MaxValue / 2, Math.Floor(bits * elements / 8)) : FileBytes!.Value;

    /// <inheritdoc/>
    public override string ToString() => BitsPerWeight is { } bits ? string.Create(CultureInfo.InvariantCulture, $"{bits} bits per weight") : string.Create(CultureInfo.InvariantCulture, $"{FileBytes} bytes");
}

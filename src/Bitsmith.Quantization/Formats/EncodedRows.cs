namespace Bitsmith.Quantization.Formats;

/// <summary>Rows of what is stored for a weight row by row.</summary>
/// <param name="Codes">Rows of the first output.</param>
/// <param name="Scales">The same rows of the second: one for every <see cref="StorageFormat.Block"/>'s rows.</param>
/// <param name="ZeroPoints">And of the third, where <see cref="StorageFormat.HasZeroPoints"/>: one for every eight. Otherwise empty.</param>
public readonly record struct EncodedRows(Memory<byte> Codes, Memory<byte> Scales, Memory<byte> ZeroPoints = default)
{
    /// <summary>The rows in an array for each output of <see cref="StorageFormat.RowOutputs"/>.</summary>
    /// <exception cref="ArgumentException">There are not two or three.</exception>
    public static EncodedRows Of(byte[][] parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        return parts.Length is 2 or 3
            ? new EncodedRows(parts[0], parts[1], parts.ElementAtOrDefault(2))
            : throw new ArgumentException($"Rows are stored in two or three parts, not {parts.Length}.", nameof(parts));
    }
}

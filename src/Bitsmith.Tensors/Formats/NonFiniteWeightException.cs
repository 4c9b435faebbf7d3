namespace Bitsmith.Tensors.Formats;

/// <summary>A weight is NaN or infinite, so no scale exists for its block.</summary>
/// <param name="row">Row within what was encoded.</param>
/// <param name="column">Column.</param>
/// <param name="value">NaN or an infinity.</param>
public sealed class NonFiniteWeightException(long row, long column, float value)
    : Exception($"the weight at row {row}, column {column} is {value}; a block that holds it has no finite scale")
{
    /// <summary>Row within what was encoded.</summary>
    public long Row { get; } = row;

    /// <summary>Column.</summary>
    public long Column { get; } = column;

    /// <summary>NaN or an infinity.</summary>
    public float Value { get; } = value;
}

namespace Bitsmith.Tensors.Formats;

/// <summary>The block that shares one scale: compressed-tensors' <c>block_structure</c>.</summary>
/// <param name="Rows">Height, in output features.</param>
/// <param name="Columns">Width, in input features.</param>
public readonly record struct BlockShape(int Rows, int Columns)
{
    /// <summary>Number of block rows and block columns that cover a matrix; the last ones may be partly outside.</summary>
    public (int Rows, int Columns) GridOf(long rows, long columns) =>
        (checked((int)((rows + Rows - 1) / Rows)), checked((int)((columns + Columns - 1) / Columns)));

    /// <summary>For example <c>128x128</c>.</summary>
    public override string ToString() => $"{Rows}x{Columns}";
}

using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>GGML blocks.</summary>
internal sealed class GgmlMatrix : WeightMatrix
{
    private readonly GgmlFormat format;
    private readonly TensorBytes blocks;
    private readonly int rowBytes;

    public GgmlMatrix(GgmlFormat format, int rows, int columns, TensorBytes blocks)
        : base(rows, columns)
    {
        rowBytes = checked((int)format.RowBytes(columns));
        Require(blocks, (long)rows * rowBytes, nameof(blocks));
        (this.format, this.blocks) = (format, blocks);
    }

    public override long Bytes => blocks.Length;

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet) => format.Decode(Span(first, count), target, instructionSet);

    public override void Release() => blocks.Release();

    private protected override long PanelRowBytes(ComputeOptions compute) => (long)Columns * sizeof(float);

    private ReadOnlySpan<byte> Span(int first, int count) => blocks.Span((long)first * rowBytes, checked(count * rowBytes));
}

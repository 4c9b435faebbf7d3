using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>FP8 codes with a scale for each block.</summary>
internal sealed class Fp8Matrix : WeightMatrix
{
    private readonly BlockShape block;
    private readonly TensorBytes codes, scales;
    private readonly ElementType scaleType;

    public Fp8Matrix(int rows, int columns, BlockShape block, TensorBytes codes, ElementType scaleType, TensorBytes scales)
        : base(rows, columns)
    {
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        Require(codes, (long)rows * columns, nameof(codes));
        Require(scales, (long)gridRows * gridColumns * scaleType.Bytes(), nameof(scales));
        (this.block, this.codes, this.scaleType, this.scales) = (block, codes, scaleType, scales);
    }

    public override long Bytes => codes.Length + scales.Length;

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet)
    {
        // Row by row: the scales of a row are those of its block row.
        int gridColumns = block.GridOf(Rows, Columns).Columns;
        int scaleBytes = gridColumns * scaleType.Bytes();
        for (int row = first; row < first + count; row++)
        {
            Fp8Block.Decode(
                scaleType, codes.Span((long)row * Columns, Columns), scales.Span((long)(row / block.Rows) * scaleBytes, scaleBytes),
                1, Columns, block, target.Slice((row - first) * Columns, Columns), instructionSet);
        }
    }

    public override void Release()
    {
        codes.Release();
        scales.Release();
    }

    private protected override long PanelRowBytes(ComputeOptions compute) => (long)Columns * sizeof(float);
}

using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Tensors.Matrices;

/// <summary>FP8 codes with a scale for each block. The AVX-512 kernel reads codes where they lie; the others widen panels of rows. Both round code · scale to the type of the scales, as the library does.</summary>
internal sealed unsafe class Fp8Matrix : WeightMatrix
{
    private const float SmallestScale = 1e-30f, LargestScale = 1e30f;

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

    private protected override long PanelRowBytes(ComputeOptions compute) => IsReadInPlace(compute) ? Columns : (long)Columns * sizeof(float);

    private protected override void MultiplyPanel(int first, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        // The kernel takes no NaN, 0x7F and 0xFF, and no scale near the ends of the range: such weights do not come from a quantizer.
        ReadOnlySpan<byte> rows = codes.Span((long)first * Columns, count * Columns);
        if (!IsReadInPlace(compute) || rows.ContainsAny<byte>(0x7F, 0xFF) || !TryFactors(first, count, compute.InstructionSet, out Span<float> factors))
        {
            base.MultiplyPanel(first, count, inputs, bias, outputs, compute);
            return;
        }

        fixed (byte* panel = rows)
        fixed (float* scale = factors)
        {
            MultiplyRows(new AssembledFp8Tiles(scaleType == ElementType.BF16 ? TileWeights.Fp8BFloat16 : TileWeights.Fp8, panel, Columns, scale, first % block.Rows, block), count, inputs, bias, outputs);
        }
    }

    // A tile's rows must share their scales, a step's columns likewise, and blocks of columns must not be cut.
    private bool IsReadInPlace(ComputeOptions compute) =>
        compute.InstructionSet == InstructionSet.Avx512 && TileKernels.IsAvailable && (scaleType is ElementType.BF16 or ElementType.F32) && block.Rows % TileKernels.MaxRows == 0 && block.Columns % LaneMath.Width == 0
        && (Columns <= TileProduct.BlockBytes / sizeof(float) || TileProduct.BlockBytes / sizeof(float) % block.Columns == 0);

    /// <summary>256 times the scales of a panel's block rows; false where one of them, times a code, could leave the range of normal numbers.</summary>
    private bool TryFactors(int first, int count, InstructionSet instructionSet, out Span<float> factors)
    {
        int gridColumns = block.GridOf(Rows, Columns).Columns, firstBlock = first / block.Rows, blocks = ((first + count - 1) / block.Rows) - firstBlock + 1;
        factors = ThreadScratch.Take<float>(blocks * gridColumns);
        ElementConversion.ToSingle(scaleType, scales.Span((long)firstBlock * gridColumns * scaleType.Bytes(), factors.Length * scaleType.Bytes()), factors, instructionSet);
        bool usual = true;
        foreach (ref float value in factors)
        {
            usual &= MathF.Abs(value) is 0 or (> SmallestScale and < LargestScale);
            value *= 256;
        }

        return usual;
    }
}

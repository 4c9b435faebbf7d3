using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>F32, F16 or BF16 elements. The AVX-512 kernels read them where they lie; the others widen panels of rows.</summary>
internal sealed unsafe class DenseMatrix : WeightMatrix
{
    private readonly ElementType type;
    private readonly TensorBytes bytes;

    public DenseMatrix(ElementType type, int rows, int columns, TensorBytes bytes, bool isConvolution)
        : base(rows, columns)
    {
        if (!type.IsWeightFloat())
        {
            throw new ArgumentException($"{type.SafetensorsName()} is no weight type; F32, F16 and BF16 are.", nameof(type));
        }

        Require(bytes, (long)rows * columns * type.Bytes(), nameof(bytes));
        this.type = type;
        this.bytes = bytes;
        if (isConvolution)
        {
            SumColumns = int.MaxValue - 1;
        }
    }

    public override long Bytes => bytes.Length;

    private long RowBytes => (long)Columns * type.Bytes();

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet) =>
        ElementConversion.ToSingle(type, Span(first, count), target, instructionSet);

    public override void Release() => bytes.Release();

    private protected override string? RoundedInputs(ComputeOptions compute) => IsRounded(compute) ? "bf16" : null;

    private protected override long PanelRowBytes(ComputeOptions compute) => IsReadInPlace(compute) ? RowBytes : (long)Columns * sizeof(float);

    private protected override void Prepare(MatrixInput inputs, ComputeOptions compute)
    {
        if (IsRounded(compute))
        {
            inputs.BFloat16(compute);
        }
    }

    private protected override void MultiplyPanel(int first, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        if (!IsReadInPlace(compute))
        {
            base.MultiplyPanel(first, count, inputs, bias, outputs, compute);
            return;
        }

        fixed (byte* weights = Span(first, count))
        {
            if (IsRounded(compute))
            {
                TileProduct.Run(
                    new AssembledTiles(TileWeights.BFloat16Dot, weights, Columns), count, Columns, inputs.BFloat16(compute), inputs.BFloat16Stride, inputs.Tokens, bias, outputs, Rows);
            }
            else if (type == ElementType.F32)
            {
                MultiplySingles(weights, count, inputs, bias, outputs, compute);
            }
            else
            {
                MultiplyRows(new AssembledTiles(type == ElementType.F16 ? TileWeights.Half : TileWeights.BFloat16, weights, Columns), count, inputs, bias, outputs);
            }
        }
    }

    private ReadOnlySpan<byte> Span(int first, int count) => bytes.Span(first * RowBytes, checked((int)(count * RowBytes)));

    private bool IsRounded(ComputeOptions compute) => type == ElementType.BF16 && compute.BFloat16Inputs;

    private bool IsReadInPlace(ComputeOptions compute) => type == ElementType.F32 || (compute.InstructionSet == InstructionSet.Avx512 && TileKernels.IsAvailable);
}

using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Formats;

/// <summary><c>float-quantized</c> in blocks; see <see cref="Fp8Block"/>.</summary>
internal sealed class Fp8BlockFormat(BlockShape block) : StorageFormat
{
    public override string Name => "float-quantized";

    public override WeightEncoder DefaultEncoder => WeightEncoder.Library;

    public override BlockShape Block => block;

    public override IReadOnlyList<TensorInfo> Outputs(TensorInfo weight)
    {
        (int gridRows, int gridColumns) = block.GridOf(weight.Shape[0], weight.Shape[1]);
        return [new(weight.Name, ElementType.F8E4M3, weight.Shape), new(weight.Name + "_scale", weight.Type, [gridRows, gridColumns])];
    }

    public override void Encode(
        WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, int rows, ColumnWeights importance, float globalScale,
        EncodedRows encoded, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors) =>
        Fp8Block.Encode(encoder, type, weights, rows, importance.Columns, block, encoded.Codes.Span, encoded.Scales.Span, errors, libraryErrors);

    public override WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, TensorBytes? zeroPoints, float globalScale) =>
        WeightMatrix.Fp8((int)weight.Shape[0], (int)weight.Shape[1], block, codes, weight.Type, scales);

    public override void Decode(ElementType type, EncodedRows encoded, int rows, int columns, float globalScale, Span<float> weights) =>
        Fp8Block.Decode(type, encoded.Codes.Span, encoded.Scales.Span, rows, columns, block, weights);

    public override string? WhyWrong(ElementType type, ReadOnlySpan<byte> original, int columns, EncodedRows encoded, float globalScale, int firstRow)
    {
        int gridColumns = block.GridOf(1, columns).Columns;
        float[] scaleValues = new float[encoded.Scales.Length / type.Bytes()];
        ElementConversion.ToSingle(type, encoded.Scales.Span, scaleValues);
        int bad = Array.FindIndex(scaleValues, scale => !(scale > 0) || !float.IsFinite(scale));
        if (bad >= 0)
        {
            return $"scale of block [{(firstRow / block.Rows) + (bad / gridColumns)}, {bad % gridColumns}] is {scaleValues[bad]}, expected a positive finite number";
        }

        return FirstBeyondBound(type, original, columns, firstRow, (row, column, weight) =>
        {
            float scale = scaleValues[(row / block.Rows * gridColumns) + (column / block.Columns)];
            return (new Float8E4M3(encoded.Codes.Span[(row * columns) + column]).ToSingle() * scale, Fp8Block.ErrorBound(type, weight, scale));
        });
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Formats;

/// <summary>4-bit codes with a scale for each group of columns.</summary>
internal abstract class GroupFormat(int groupSize) : StorageFormat
{
    public override WeightEncoder DefaultEncoder => WeightEncoder.Best;

    public override BlockShape Block => new(1, groupSize);

    public override string? WhyNot(TensorInfo weight) =>
        weight.Shape[1] % groupSize == 0 ? null : $"{weight.Shape[1]} input features do not divide into groups of {groupSize}";

    public override bool HasGptq => true;

    public override string ToString() => $"{Name} {groupSize}";

    /// <summary>The scale of each group, as codes are multiplied with it.</summary>
    protected abstract float[] ScaleValues(ElementType type, ReadOnlySpan<byte> scales, float globalScale);

    protected abstract bool IsScale(float scale);

    protected abstract (float Value, float Bound) ValueAndBound(ElementType type, int code, float scale, float weight);

    public override string? WhyWrong(
        ElementType type, ReadOnlySpan<byte> original, int columns, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float globalScale, int firstRow)
    {
        if (!(globalScale > 0) || !float.IsFinite(globalScale))
        {
            return $"the global scale is {globalScale}, expected a positive finite number";
        }

        int groups = columns / groupSize;
        float[] values = ScaleValues(type, scales, globalScale);
        int bad = Array.FindIndex(values, scale => !IsScale(scale));
        if (bad >= 0)
        {
            return $"the scale of row {firstRow + (bad / groups)}, group {bad % groups} is {values[bad]}, which no encoder writes";
        }

        byte[] stored = codes.ToArray();
        return FirstBeyondBound(type, original, columns, firstRow, (row, column, weight) =>
        {
            int place = (row * columns) + column;
            return ValueAndBound(type, (stored[place / 2] >> (place % 2 * 4)) & 15, values[place / groupSize], weight);
        });
    }
}

/// <summary><c>pack-quantized</c>, symmetric 4-bit integers; see <see cref="Int4Group"/>.</summary>
internal sealed class Int4GroupFormat(int groupSize) : GroupFormat(groupSize)
{
    private const int CodesInWord = 8;

    private readonly int groupSize = groupSize;

    public override string Name => "pack-quantized";

    public override IReadOnlyList<TensorInfo> Outputs(TensorInfo weight) =>
    [
        new(weight.Name + "_packed", ElementType.I32, [weight.Shape[0], weight.Shape[1] / CodesInWord]),
        new(weight.Name + "_scale", weight.Type, [weight.Shape[0], weight.Shape[1] / groupSize]),
        new(weight.Name + "_shape", ElementType.I64, [2]),
    ];

    public override byte[] Constants(TensorInfo weight, GlobalScales scales) => MemoryMarshal.AsBytes<long>([weight.Shape[0], weight.Shape[1]]).ToArray();

    public override void Encode(
        WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, int rows, ColumnWeights importance, float globalScale,
        Span<byte> codes, Span<byte> scales, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors) =>
        Int4Group.Encode(encoder, type, weights, groupSize, importance, codes, scales, errors, libraryErrors);

    public override GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, Memory<byte> codes, Memory<byte> scales, ComputeOptions compute) =>
        Int4Group.EncodeGptq(type, weights, groupSize, factor, options, codes, scales, compute);

    public override WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, float globalScale) =>
        WeightMatrix.Int4((int)weight.Shape[0], (int)weight.Shape[1], groupSize, codes, weight.Type, scales);

    public override void Decode(ElementType type, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, int rows, int columns, float globalScale, Span<float> weights) =>
        Int4Group.Decode(type, codes, scales, groupSize, weights);

    protected override float[] ScaleValues(ElementType type, ReadOnlySpan<byte> scales, float globalScale)
    {
        float[] values = new float[scales.Length / type.Bytes()];
        ElementConversion.ToSingle(type, scales, values);
        return values;
    }

    // Negative ones are the best encoder's.
    protected override bool IsScale(float scale) => scale != 0 && float.IsFinite(scale);

    protected override (float Value, float Bound) ValueAndBound(ElementType type, int code, float scale, float weight) =>
        ((code + Int4Group.Lowest) * scale, Int4Group.ErrorBound(type, weight, scale));
}

/// <summary><c>nvfp4-pack-quantized</c>; see <see cref="NvFp4Group"/>.</summary>
/// <param name="quantizesInputs">Inputs are quantized too, with a global scale from calibration.</param>
internal sealed class NvFp4Format(bool quantizesInputs) : GroupFormat(NvFp4Group.Columns)
{
    public override string Name => "nvfp4-pack-quantized";

    public override bool HasGlobalScale => true;

    public override bool HasInputGlobalScale => quantizesInputs;

    public override IReadOnlyList<TensorInfo> Outputs(TensorInfo weight)
    {
        string module = weight.Name[..^"weight".Length];
        TensorInfo[] outputs =
        [
            new(weight.Name + "_packed", ElementType.U8, [weight.Shape[0], weight.Shape[1] / 2]),
            new(weight.Name + "_scale", ElementType.F8E4M3, [weight.Shape[0], weight.Shape[1] / NvFp4Group.Columns]),
            new(weight.Name + "_global_scale", ElementType.F32, [1]),
        ];
        return quantizesInputs ? [.. outputs, new(module + "input_global_scale", ElementType.F32, [1])] : outputs;
    }

    public override byte[] Constants(TensorInfo weight, GlobalScales scales)
    {
        byte[] bytes = new byte[quantizesInputs ? 2 * sizeof(float) : sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, scales.Weight);
        if (quantizesInputs)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(sizeof(float)), scales.Input);
        }

        return bytes;
    }

    public override void Encode(
        WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, int rows, ColumnWeights importance, float globalScale,
        Span<byte> codes, Span<byte> scales, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors) =>
        NvFp4Group.Encode(encoder, type, weights, globalScale, importance, codes, scales, errors, libraryErrors);

    public override GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, Memory<byte> codes, Memory<byte> scales, ComputeOptions compute) =>
        NvFp4Group.EncodeGptq(type, weights, globalScale, factor, options, codes, scales, compute);

    public override WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, float globalScale) =>
        WeightMatrix.NvFp4((int)weight.Shape[0], (int)weight.Shape[1], codes, scales, globalScale);

    public override void Decode(ElementType type, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, int rows, int columns, float globalScale, Span<float> weights) =>
        NvFp4Group.Decode(codes, scales, globalScale, weights);

    protected override float[] ScaleValues(ElementType type, ReadOnlySpan<byte> scales, float globalScale)
    {
        float[] values = new float[scales.Length];
        ElementConversion.ToSingle(ElementType.F8E4M3, scales, values);
        return [.. values.Select(value => value / globalScale)];
    }

    protected override bool IsScale(float scale) => scale > 0 && float.IsFinite(scale);

    protected override (float Value, float Bound) ValueAndBound(ElementType type, int code, float scale, float weight) =>
        (NvFp4Group.ValueOf(code) * scale, NvFp4Group.ErrorBound(weight, scale));
}

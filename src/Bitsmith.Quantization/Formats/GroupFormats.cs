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

    /// <summary>What a code decodes to, and how far from the weight that may be.</summary>
    /// <param name="type">Of the weight.</param>
    /// <param name="code">The code.</param>
    /// <param name="scale">Its group's scale.</param>
    /// <param name="zeroPoint">Its group's zero point; 0 where there are none.</param>
    /// <param name="weight">The weight.</param>
    protected abstract (float Value, float Bound) ValueAndBound(ElementType type, int code, float scale, int zeroPoint, float weight);

    public override string? WhyWrong(ElementType type, ReadOnlySpan<byte> original, int columns, EncodedRows encoded, float globalScale, int firstRow)
    {
        if (!(globalScale > 0) || !float.IsFinite(globalScale))
        {
            return $"the global scale is {globalScale}, expected a positive finite number";
        }

        int groups = columns / groupSize;
        float[] values = ScaleValues(type, encoded.Scales.Span, globalScale), zeros = new float[values.Length];
        int bad = Array.FindIndex(values, scale => !IsScale(scale));
        if (bad >= 0)
        {
            return $"the scale of row {firstRow + (bad / groups)}, group {bad % groups} is {values[bad]}, which no encoder writes";
        }

        for (int row = 0; HasZeroPoints && row < values.Length / groups; row++)
        {
            ZeroPoints.Read(encoded.ZeroPoints.Span, groups, row, 0, zeros.AsSpan(row * groups, groups));
        }

        return FirstBeyondBound(type, original, columns, firstRow, (row, column, weight) =>
        {
            int place = (row * columns) + column, group = place / groupSize;
            return ValueAndBound(type, (encoded.Codes.Span[place / 2] >> (place % 2 * 4)) & 15, values[group], (int)zeros[group], weight);
        });
    }
}

/// <summary><c>pack-quantized</c> 4-bit integers; see <see cref="Int4Group"/> and <see cref="Int4ZeroPointGroup"/>.</summary>
/// <param name="groupSize">Columns that share a scale.</param>
/// <param name="hasZeroPoints">True for asymmetric groups.</param>
internal sealed class Int4GroupFormat(int groupSize, bool hasZeroPoints = false) : GroupFormat(groupSize)
{
    private const int CodesInWord = 8;

    private readonly int groupSize = groupSize;

    public override string Name => "pack-quantized";

    public override bool HasZeroPoints => hasZeroPoints;

    public override IReadOnlyList<TensorInfo> Outputs(TensorInfo weight)
    {
        long groups = weight.Shape[1] / groupSize;
        TensorInfo codes = new(weight.Name + "_packed", ElementType.I32, [weight.Shape[0], weight.Shape[1] / CodesInWord]);
        TensorInfo scales = new(weight.Name + "_scale", weight.Type, [weight.Shape[0], groups]), shape = new(weight.Name + "_shape", ElementType.I64, [2]);
        return hasZeroPoints ? [codes, scales, new(weight.Name + "_zero_point", ElementType.I32, [ZeroPoints.WordRows((int)weight.Shape[0]), groups]), shape] : [codes, scales, shape];
    }

    public override byte[] Constants(TensorInfo weight, GlobalScales scales) => MemoryMarshal.AsBytes<long>([weight.Shape[0], weight.Shape[1]]).ToArray();

    public override void Encode(
        WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, int rows, ColumnWeights importance, float globalScale,
        EncodedRows encoded, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors)
    {
        if (hasZeroPoints)
        {
            Int4ZeroPointGroup.Encode(encoder, type, weights, groupSize, importance, encoded.Codes.Span, encoded.Scales.Span, encoded.ZeroPoints.Span, errors, libraryErrors);
        }
        else
        {
            Int4Group.Encode(encoder, type, weights, groupSize, importance, encoded.Codes.Span, encoded.Scales.Span, errors, libraryErrors);
        }
    }

    public override GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, EncodedRows encoded, ComputeOptions compute) => hasZeroPoints
        ? Int4ZeroPointGroup.EncodeGptq(type, weights, groupSize, factor, options, encoded.Codes, encoded.Scales, encoded.ZeroPoints, compute)
        : Int4Group.EncodeGptq(type, weights, groupSize, factor, options, encoded.Codes, encoded.Scales, compute);

    public override WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, TensorBytes? zeroPoints, float globalScale) =>
        WeightMatrix.Int4((int)weight.Shape[0], (int)weight.Shape[1], groupSize, codes, weight.Type, scales, zeroPoints);

    public override void Decode(ElementType type, EncodedRows encoded, int rows, int columns, float globalScale, Span<float> weights)
    {
        if (hasZeroPoints)
        {
            Int4ZeroPointGroup.Decode(type, encoded.Codes.Span, encoded.Scales.Span, encoded.ZeroPoints.Span, 0, columns, groupSize, weights);
        }
        else
        {
            Int4Group.Decode(type, encoded.Codes.Span, encoded.Scales.Span, groupSize, weights);
        }
    }

    public override string ToString() => hasZeroPoints ? $"{base.ToString()} asymmetric" : base.ToString();

    protected override float[] ScaleValues(ElementType type, ReadOnlySpan<byte> scales, float globalScale)
    {
        float[] values = new float[scales.Length / type.Bytes()];
        ElementConversion.ToSingle(type, scales, values);
        return values;
    }

    // Negative ones are the best encoder's.
    protected override bool IsScale(float scale) => scale != 0 && float.IsFinite(scale);

    protected override (float Value, float Bound) ValueAndBound(ElementType type, int code, float scale, int zeroPoint, float weight) =>
        ((code + Int4Group.Lowest - zeroPoint) * scale, hasZeroPoints ? Int4ZeroPointGroup.ErrorBound(type, weight, scale, zeroPoint) : Int4Group.ErrorBound(type, weight, scale));
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
        EncodedRows encoded, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors) =>
        NvFp4Group.Encode(encoder, type, weights, globalScale, importance, encoded.Codes.Span, encoded.Scales.Span, errors, libraryErrors);

    public override GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, EncodedRows encoded, ComputeOptions compute) =>
        NvFp4Group.EncodeGptq(type, weights, globalScale, factor, options, encoded.Codes, encoded.Scales, compute);

    public override WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, TensorBytes? zeroPoints, float globalScale) =>
        WeightMatrix.NvFp4((int)weight.Shape[0], (int)weight.Shape[1], codes, scales, globalScale);

    public override void Decode(ElementType type, EncodedRows encoded, int rows, int columns, float globalScale, Span<float> weights) =>
        NvFp4Group.Decode(encoded.Codes.Span, encoded.Scales.Span, globalScale, weights);

    protected override float[] ScaleValues(ElementType type, ReadOnlySpan<byte> scales, float globalScale)
    {
        float[] values = new float[scales.Length];
        ElementConversion.ToSingle(ElementType.F8E4M3, scales, values);
        return [.. values.Select(value => value / globalScale)];
    }

    protected override bool IsScale(float scale) => scale > 0 && float.IsFinite(scale);

    protected override (float Value, float Bound) ValueAndBound(ElementType type, int code, float scale, int zeroPoint, float weight) =>
        (NvFp4Group.ValueOf(code) * scale, NvFp4Group.ErrorBound(weight, scale));
}

using System.Buffers;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Formats;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>What a storage format makes of weights.</summary>
internal static class ScaledRounding
{
    /// <summary>Rounds weights to their own type, encodes them and decodes them again.</summary>
    /// <param name="format">The format.</param>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">Of the weights.</param>
    /// <param name="rows">Whole block rows.</param>
    /// <param name="importance">How much each column counts.</param>
    /// <param name="globalScale">Where the format has one.</param>
    /// <param name="values">rows × columns weights; receives what they decode to.</param>
    public static void Round(StorageFormat format, WeightEncoder encoder, ElementType type, int rows, ColumnWeights importance, float globalScale, Span<float> values)
    {
        IReadOnlyList<TensorInfo> outputs = format.Outputs(new TensorInfo("rows.weight", type, [rows, importance.Columns]));
        (int weightBytes, int codeBytes, int scaleBytes, int zeroPointBytes) = (values.Length * type.Bytes(), (int)outputs[0].Bytes, (int)outputs[1].Bytes, format.HasZeroPoints ? (int)outputs[2].Bytes : 0);
        byte[] memory = ArrayPool<byte>.Shared.Rent(weightBytes + codeBytes + scaleBytes + zeroPointBytes);
        Span<byte> weights = memory.AsSpan(0, weightBytes);
        Memory<byte> parts = memory.AsMemory(weightBytes);
        EncodedRows encoded = new(parts[..codeBytes], parts.Slice(codeBytes, scaleBytes), parts.Slice(codeBytes + scaleBytes, zeroPointBytes));
        Span<QuantizationError> errors = new QuantizationError[(rows + format.Block.Rows - 1) / format.Block.Rows];
        ElementConversion.FromSingle(type, values, weights);
        format.Encode(encoder, type, weights, rows, importance, globalScale, encoded, errors, encoder == WeightEncoder.Best ? new QuantizationError[errors.Length] : []);
        format.Decode(type, encoded, rows, importance.Columns, globalScale, values);
        ArrayPool<byte>.Shared.Return(memory);
    }
}

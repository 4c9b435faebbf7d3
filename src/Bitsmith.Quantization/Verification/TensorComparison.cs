using System.Collections.Concurrent;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Verification;

/// <summary>Compares the content of one tensor of a result with the base model, chunk by chunk; reports the first difference.</summary>
internal sealed class TensorComparison
{
    private readonly Dictionary<string, (SafetensorsFile File, StoredTensor Tensor)> source, result;
    private readonly IReadOnlySet<string> calibrated;
    private readonly ConcurrentQueue<Finding> findings;

    /// <param name="source">The base model.</param>
    /// <param name="result">The result.</param>
    /// <param name="calibrated">Tensors of the base model that calibration fitted or changed: no rounding of theirs explains what they became, so that only the form of scales can be checked.</param>
    /// <param name="findings">Receives what is wrong.</param>
    public TensorComparison(CheckpointFolder source, CheckpointFolder result, IReadOnlySet<string> calibrated, ConcurrentQueue<Finding> findings)
    {
        this.source = Places(source);
        this.result = Places(result);
        this.calibrated = calibrated;
        this.findings = findings;
    }

    public void Compare(PlanRow row, CancellationToken cancellationToken)
    {
        ChunkPlan cut = ChunkPlan.Of(row);
        if (!row.IsEncoded && calibrated.Contains(row.Source.Name))
        {
            return;
        }

        (SafetensorsFile file, StoredTensor tensor) = source[row.Source.Name];
        byte[] original = new byte[cut.BytesPerChunk];
        byte[] stored = row.IsEncoded ? [] : new byte[cut.BytesPerChunk];
        for (int chunk = 0; chunk < cut.Count; chunk++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long offset = chunk * cut.BytesPerChunk;
            Span<byte> part = original.AsSpan(0, (int)Math.Min(cut.BytesPerChunk, tensor.Bytes - offset));
            file.Read(tensor.Offset + offset, part);
            string? problem = row.IsEncoded
                ? Decoded(row, part, chunk * cut.RowsPerChunk)
                : Kept(row, part, offset, stored.AsSpan(0, part.Length));
            if (problem is not null)
            {
                findings.Enqueue(new Finding(row.Source.Name, problem));
                return;
            }
        }
    }

    private static Dictionary<string, (SafetensorsFile, StoredTensor)> Places(CheckpointFolder folder) => folder.Files
        .SelectMany(file => file.Header.Tensors.Select(tensor => (tensor.Name, (file, tensor)))).ToDictionary();

    private string? Kept(PlanRow row, ReadOnlySpan<byte> original, long offset, Span<byte> stored)
    {
        (SafetensorsFile file, StoredTensor tensor) = result[row.Source.Name];
        file.Read(tensor.Offset + offset, stored);
        int same = original.CommonPrefixLength(stored);
        return same == original.Length ? null : $"differs from the base model at byte {offset + same}, although it was to be carried over unchanged";
    }

    private string? Decoded(PlanRow row, ReadOnlySpan<byte> original, int firstRow)
    {
        ElementType type = row.Source.Type;
        StorageFormat format = row.Group!.Storage;
        int columns = (int)row.Source.Shape[1], rows = original.Length / columns / type.Bytes(), outputs = format.RowOutputs;
        EncodedRows encoded = EncodedRows.Of([.. Enumerable.Range(0, outputs).Select(i => Rows(row.Outputs[i], format.RowsOf(i, firstRow), format.RowsOf(i, rows), row.Outputs[i].Shape[0]))]);
        float globalScale = format.HasGlobalScale ? BitConverter.ToSingle(Rows(row.Outputs[2], 0, 1, 1)) : 1;
        if (format.WhyWrong(type, [], columns, encoded, globalScale, firstRow) is { } problem)
        {
            return problem;
        }

        if (firstRow == 0 && row.Outputs.Skip(outputs).FirstOrDefault(output => output.Type == ElementType.I64) is { } shape && !Rows(shape, 0, 1, 1).SequenceEqual(format.Constants(row.Source, default)))
        {
            return $"'{shape.Name}' does not hold the weight's shape, {row.Source.Describe()}";
        }

        if (calibrated.Contains(row.Source.Name))
        {
            return null;
        }

        // Results of the library's encoder hold exactly its bytes: then decoding them is within the bound by construction.
        EncodedRows library = EncodedRows.Of(format.Allocate(row.Outputs, rows));
        try
        {
            format.Encode(
                WeightEncoder.Library, type, original, rows, ColumnWeights.Of([], columns), globalScale, library, new QuantizationError[format.RowsOf(1, rows)], []);
        }
        catch (NonFiniteWeightException nonFinite)
        {
            return $"the base model's weight at row {firstRow + nonFinite.Row}, column {nonFinite.Column} is {nonFinite.Value}: {format.Name} cannot hold it";
        }

        bool isLibrarys = encoded.Codes.Span.SequenceEqual(library.Codes.Span) && encoded.Scales.Span.SequenceEqual(library.Scales.Span) && encoded.ZeroPoints.Span.SequenceEqual(library.ZeroPoints.Span);
        return isLibrarys ? null : format.WhyWrong(type, original, columns, encoded, globalScale, firstRow);
    }

    /// <summary>Some rows of a tensor of the result.</summary>
    private byte[] Rows(TensorInfo output, int first, int count, long all)
    {
        (SafetensorsFile file, StoredTensor tensor) = result[output.Name];
        long rowBytes = tensor.Bytes / all;
        byte[] bytes = new byte[checked((int)(rowBytes * count))];
        file.Read(tensor.Offset + (first * rowBytes), bytes);
        return bytes;
    }
}

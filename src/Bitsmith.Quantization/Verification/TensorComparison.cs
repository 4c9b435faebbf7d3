using System.Collections.Concurrent;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Verification;

/// <summary>Compares the content of one tensor of a result with the base model, chunk by chunk; reports the first difference.</summary>
internal sealed class TensorComparison
{
    private readonly Dictionary<string, (SafetensorsFile File, StoredTensor Tensor)> source, result;
    private readonly ConcurrentQueue<Finding> findings;

    public TensorComparison(CheckpointFolder source, CheckpointFolder result, ConcurrentQueue<Finding> findings)
    {
        this.source = Places(source);
        this.result = Places(result);
        this.findings = findings;
    }

    public void Compare(PlanRow row, CancellationToken cancellationToken)
    {
        ChunkPlan cut = ChunkPlan.Of(row);
        (SafetensorsFile file, StoredTensor tensor) = source[row.Source.Name];
        byte[] original = new byte[cut.BytesPerChunk];
        byte[] stored = new byte[cut.BytesPerChunk];
        for (int chunk = 0; chunk < cut.Count; chunk++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long offset = chunk * cut.BytesPerChunk;
            Span<byte> part = original.AsSpan(0, (int)Math.Min(cut.BytesPerChunk, tensor.Bytes - offset));
            file.Read(tensor.Offset + offset, part);
            string? problem = row.IsEncoded
                ? Decoded(row, part, chunk * cut.RowsPerChunk, stored)
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

    private string? Decoded(PlanRow row, ReadOnlySpan<byte> original, int firstRow, byte[] stored)
    {
        ElementType type = row.Source.Type;
        BlockShape block = row.Group!.Block;
        int columns = (int)row.Source.Shape[1];
        int rows = original.Length / columns / type.Bytes();
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        Span<byte> codes = stored.AsSpan(0, rows * columns);
        byte[] scales = new byte[gridRows * gridColumns * type.Bytes()];
        (SafetensorsFile codeFile, StoredTensor codeTensor) = result[row.Outputs[0].Name];
        (SafetensorsFile scaleFile, StoredTensor scaleTensor) = result[row.Outputs[1].Name];
        codeFile.Read(codeTensor.Offset + ((long)firstRow * columns), codes);
        scaleFile.Read(scaleTensor.Offset + ((long)firstRow / block.Rows * gridColumns * type.Bytes()), scales);

        float[] scaleValues = new float[gridRows * gridColumns];
        ElementConversion.ToSingle(type, scales, scaleValues);
        int bad = Array.FindIndex(scaleValues, scale => !(scale > 0) || !float.IsFinite(scale));
        if (bad >= 0)
        {
            return $"scale of block [{(firstRow / block.Rows) + (bad / gridColumns)}, {bad % gridColumns}] is {scaleValues[bad]}, expected a positive finite number";
        }

        // Most results hold exactly the library's bytes: then decoding them is within the bound by construction.
        byte[] libraryCodes = new byte[codes.Length], libraryScales = new byte[scales.Length];
        try
        {
            Fp8Block.Encode(
                WeightEncoder.Library, type, original, rows, columns, block, libraryCodes, libraryScales, new QuantizationError[gridRows], []);
        }
        catch (NonFiniteWeightException problem)
        {
            return $"the base model's weight at row {firstRow + problem.Row}, column {problem.Column} is {problem.Value}: no FP8 block can hold it";
        }

        return codes.SequenceEqual(libraryCodes) && scales.AsSpan().SequenceEqual(libraryScales)
            ? null
            : WithinBound(type, original, codes, scaleValues, rows, columns, block, firstRow);
    }

    private static string? WithinBound(
        ElementType type, ReadOnlySpan<byte> original, ReadOnlySpan<byte> codes, float[] scales, int rows, int columns, BlockShape block, int firstRow)
    {
        float[] weights = new float[columns];
        int rowBytes = columns * type.Bytes();
        int gridColumns = block.GridOf(rows, columns).Columns;
        for (int row = 0; row < rows; row++)
        {
            ElementConversion.ToSingle(type, original.Slice(row * rowBytes, rowBytes), weights);
            for (int column = 0; column < columns; column++)
            {
                float scale = scales[(row / block.Rows * gridColumns) + (column / block.Columns)];
                float decoded = new Float8E4M3(codes[(row * columns) + column]).ToSingle() * scale;
                float bound = Fp8Block.ErrorBound(type, weights[column], scale);
                if (!(MathF.Abs(weights[column] - decoded) <= bound))
                {
                    return $"row {firstRow + row}, column {column} decodes to {decoded}, the base model has {weights[column]}; the format's bound there is {bound}";
                }
            }
        }

        return null;
    }
}

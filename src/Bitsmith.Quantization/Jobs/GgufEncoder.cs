using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Reads rows and gives them their type; one for each thread. A few rows at a time go all the way, so that they are in the processor's cache from reading to comparing.</summary>
/// <param name="sourcePath">Names the source in errors.</param>
internal sealed class GgufEncoder(string sourcePath)
{
    // Weights worked on at a time, unless a row has more: with what becomes of them they take a third of a megabyte.
    private const int PieceValues = 1 << 15;

    private float[] values = [], decoded = [];

    /// <summary>Bytes of memory for steps of so many values.</summary>
    public static long BytesFor(long mostValues) => mostValues * 2 * sizeof(float);

    /// <summary>Encodes a step's rows.</summary>
    /// <param name="step">The step.</param>
    /// <param name="output">The tensor with its name in the file.</param>
    /// <param name="target">Receives <see cref="GgufStep.Bytes"/> bytes.</param>
    /// <returns>What that lost.</returns>
    /// <exception cref="CheckpointException">A weight is no number.</exception>
    /// <exception cref="JobException">A weight does not fit the type.</exception>
    public QuantizationError Encode(in GgufStep step, GgufOutput output, Span<byte> target)
    {
        if (!step.Row.IsEncoded && step.Part.Stored(step.FirstRow, step.Rows) is { IsEmpty: false } stored)
        {
            stored.CopyTo(target);
            return default;
        }

        GgmlFormat format = GgmlFormats.Of((GgmlType)step.Row.Output.Type.Number);
        int columns = step.Part.Columns, rowBytes = target.Length / step.Rows, rowsEach = Math.Max(1, PieceValues / columns);
        QuantizationError error = default;
        for (int done = 0; done < step.Rows; done += rowsEach)
        {
            int first = step.FirstRow + done, rows = Math.Min(rowsEach, step.Rows - done);
            Span<float> weights = Grow(ref values, rows * columns);
            Span<byte> bytes = target.Slice(done * rowBytes, rows * rowBytes);
            step.Part.Read(first, rows, weights);
            Encode(format, step, first, weights, bytes, output);
            if (step.Row.IsEncoded)
            {
                Span<float> back = Grow(ref decoded, weights.Length);
                format.Decode(bytes, back);
                error += QuantizationError.Between(weights, back);
            }
        }

        return error;
    }

    private void Encode(GgmlFormat format, in GgufStep step, int first, ReadOnlySpan<float> weights, Span<byte> bytes, GgufOutput output)
    {
        if (ElementTypeExtensions.TryParse(format.Name, out ElementType element))
        {
            FloatRange.Check(weights, element, output.Info.Name, step.Part, first);
            ElementConversion.FromSingle(element, weights, bytes);
            return;
        }

        try
        {
            format.Encode(weights, step.Weights, bytes);
        }
        catch (NonFiniteWeightException problem)
        {
            throw new CheckpointException(
                sourcePath,
                $"tensor '{step.Part.Name}' ({output.Info.Name}): the weight at row {first + problem.Row}, column {problem.Column} is {problem.Value}. {format.Name} needs finite weights; the checkpoint is damaged.",
                problem);
        }
    }

    private static Span<float> Grow(ref float[] array, int length) => (array.Length >= length ? array : array = new float[length]).AsSpan(0, length);
}

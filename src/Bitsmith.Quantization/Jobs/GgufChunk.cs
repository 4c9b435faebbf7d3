using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Jobs;

/// <summary>The buffers of one step; reused.</summary>
internal sealed class GgufChunk : IDisposable
{
    private float[] values = [], decoded = [];
    private byte[] bytes = [];

    /// <summary>Bytes of memory for a step of so many values.</summary>
    public static long BytesFor(long mostValues) => mostValues * 3 * sizeof(float);

    /// <summary>The step at work.</summary>
    public GgufStep Step { get; private set; }

    /// <summary>Signalled when <see cref="Bytes"/> and <see cref="Error"/> are ready.</summary>
    public ManualResetEventSlim Encoded { get; } = new();

    /// <summary>The bytes to write.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes.AsMemory(0, Step.Bytes);

    /// <summary>What encoding lost.</summary>
    public QuantizationError Error { get; private set; }

    /// <summary>Takes the buffers into use.</summary>
    public void Begin(GgufStep step)
    {
        Step = step;
        Error = default;
        Encoded.Reset();
    }

    /// <summary>Reads the rows and gives them their type.</summary>
    /// <param name="sourcePath">Names the source in errors.</param>
    /// <param name="output">The tensor with its name in the file.</param>
    public void Encode(string sourcePath, GgufOutput output)
    {
        Span<byte> target = Grow(ref bytes, Step.Bytes);
        if (!Step.Row.IsEncoded && Step.Part.Stored(Step.FirstRow, Step.Rows) is { IsEmpty: false } stored)
        {
            stored.CopyTo(target);
            return;
        }

        Span<float> weights = Grow(ref values, Step.Values);
        Step.Part.Read(Step.FirstRow, Step.Rows, weights);
        GgmlFormat format = GgmlFormats.Of((GgmlType)Step.Row.Output.Type.Number);
        Span<float> back = Step.Row.IsEncoded ? Grow(ref decoded, Step.Values) : [];
        if (ElementTypeExtensions.TryParse(format.Name, out ElementType element))
        {
            FloatRange.Check(weights, element, output.Info.Name, Step.Part, Step.FirstRow);
            ElementConversion.FromSingle(element, weights, target);
            if (Step.Row.IsEncoded)
            {
                ElementConversion.ToSingle(element, target, back);
            }
        }
        else
        {
            EncodeBlocks(format, weights, target, sourcePath, output);
            format.Decode(target, back);
        }

        Error = Step.Row.IsEncoded ? QuantizationError.Between(weights, back) : default;
    }

    /// <inheritdoc/>
    public void Dispose() => Encoded.Dispose();

    private void EncodeBlocks(GgmlFormat format, ReadOnlySpan<float> weights, Span<byte> target, string sourcePath, GgufOutput output)
    {
        try
        {
            format.Encode(weights, Step.Part.Columns, Step.Importance.Span, target);
        }
        catch (NonFiniteWeightException problem)
        {
            throw new CheckpointException(
                sourcePath,
                $"tensor '{Step.Part.Name}' ({output.Info.Name}): the weight at row {Step.FirstRow + problem.Row}, column {problem.Column} is {problem.Value}. {format.Name} needs finite weights; the checkpoint is damaged.",
                problem);
        }
    }

    private static Span<T> Grow<T>(ref T[] array, int length) => (array.Length >= length ? array : array = new T[length]).AsSpan(0, length);
}

using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Conversion;

/// <summary>
/// Converts a GLM checkpoint to a GGUF file that llama.cpp loads: the language model with its numbers, tokenizer and chat template, or the vision tower. Tensors stream through
/// a few megabytes; FP8 blocks are decoded.
/// </summary>
public sealed class GgufConversion : IDisposable
{
    // Values converted at a time.
    private const int ChunkValues = 1 << 20;

    private readonly GgufConversionOptions options;
    private readonly ElementType elementType;
    private readonly GgufSource source;

    private GgufConversion(GgufConversionOptions options, ElementType elementType, GgufSource source) => (this.options, this.elementType, this.source) = (options, elementType, source);

    /// <summary>llama.cpp's name of the architecture.</summary>
    public string Architecture => source.Architecture;

    /// <summary>The tensors that the file will hold.</summary>
    public IEnumerable<GgufTensorInfo> Tensors => source.Tensors.Select(output => output.Info);

    /// <summary>The key/value pairs that the file will hold.</summary>
    public GgufMetadata Metadata => source.Metadata;

    /// <summary>What is left out, and what the source lacks.</summary>
    public IReadOnlyList<string> Notes => source.Notes;

    /// <summary>Opens and checks the source: every tensor is where the file needs it, every other has a reason to be left out. Nothing is written.</summary>
    /// <exception cref="RequestException">The type cannot be converted to, or the output exists.</exception>
    /// <exception cref="CheckpointException">The source is broken, incomplete, or no model that can be converted.</exception>
    public static GgufConversion Prepare(GgufConversionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ElementType type = ElementTypeExtensions.TryParse(options.Type.Name, out ElementType known) && known.IsWeightFloat()
            ? known
            : throw new RequestException($"conversion writes F32, F16 or BF16, not {options.Type.Name}.");
        if (File.Exists(options.Output) && !options.Force)
        {
            throw new RequestException($"{options.Output} exists. Choose another name, or replace it with --force.");
        }

        return new GgufConversion(options, type, GgufSource.OpenFolder(options.Model, options.Type, options.Mmproj));
    }

    /// <summary>Does the work.</summary>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops the work; nothing is left behind.</param>
    /// <exception cref="JobException">A weight does not fit the type.</exception>
    /// <exception cref="IOException">The system refused to write.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public GgufConversionResult Run(IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        using GgufWriter writer = new(options.Output, Metadata, [.. Tensors], options.MaxFileBytes);
        if (!options.Force && writer.Paths.FirstOrDefault(File.Exists) is { } existing)
        {
            throw new RequestException($"{existing} exists. Choose another name, or replace it with --force.");
        }

        long done = 0, total = Tensors.Sum(tensor => tensor.Bytes);
        foreach (GgufOutput output in source.Tensors)
        {
            ElementType type = output.Info.Type == GgufTensorType.F32 ? ElementType.F32 : elementType;
            foreach (TensorSource part in output.Parts)
            {
                int rowsEach = Math.Clamp(ChunkValues / part.Columns, 1, part.Rows);
                float[] values = new float[rowsEach * part.Columns];
                byte[] bytes = new byte[values.Length * type.Bytes()];
                for (int first = 0; first < part.Rows; first += rowsEach)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    int rows = Math.Min(rowsEach, part.Rows - first);
                    Span<float> chunk = values.AsSpan(0, rows * part.Columns);
                    Span<byte> converted = bytes.AsSpan(0, chunk.Length * type.Bytes());
                    part.Read(first, rows, chunk);
                    FloatRange.Check(chunk, type, output.Info.Name, part, first);
                    ElementConversion.FromSingle(type, chunk, converted);
                    writer.Append(converted);
                    done += converted.Length;
                    progress?.Report(new JobProgress(done, total, output.Info.Name));
                }

                part.Release();
            }
        }

        writer.Complete();
        using GgufModel model = GgufModel.Open(writer.Paths[0]);
        return model.Tensors.Count() == source.Tensors.Count
            ? new GgufConversionResult(writer.Paths, Architecture, options.Type.Name, source.Tensors.Count, writer.Length, Notes)
            : throw new JobException($"{writer.Paths[0]}: holds {model.Tensors.Count()} tensors instead of {source.Tensors.Count} after writing. Something else has changed it; run the command again.");
    }

    /// <inheritdoc/>
    public void Dispose() => source.Dispose();
}

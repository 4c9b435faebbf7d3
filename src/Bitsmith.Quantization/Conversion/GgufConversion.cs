using System.Numerics;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Text;
using Bitsmith.Models.Weights;
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
    private readonly ModelWeights weights;
    private readonly IReadOnlyList<GgufOutput> outputs;
    private readonly GgufMetadata metadata;
    private readonly List<string> notes = [];

    private GgufConversion(GgufConversionOptions options, ElementType elementType, ModelWeights weights)
    {
        (this.options, this.elementType, this.weights) = (options, elementType, weights);
        DecoderConfig config = DecoderConfig.Read(weights.Config);
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.Model)));
        metadata = new GgufMetadata(options.Output);
        if (options.Mmproj)
        {
            Architecture = "clip";
            outputs = GgufVision.Create(config, weights, name, options.Type, metadata);
            return;
        }

        Architecture = GgufHyperparameters.ArchitectureOf(config.ModelType, weights.Path);
        int mtpLayers = weights.Has(WeightMap.MtpMark(config)) ? weights.Config.MtpLayers : 0;
        outputs = GgufTensorList.Create(config, weights, options.Type, mtpLayers, out IReadOnlyList<string> leftOut);
        GgufHyperparameters.AddTo(config, Architecture, name, options.Type, mtpLayers, metadata);
        SamplingSettings.AddTo(weights.Path, metadata);
        notes.AddRange(GgufTokenizer.AddTo(weights.Path, weights.Config, config.VocabSize, Architecture, metadata));
        if (mtpLayers < weights.Config.MtpLayers)
        {
            notes.Add($"config.json tells of {weights.Config.MtpLayers} layer(s) for multi-token prediction that the checkpoint does not hold: the file has none");
        }

        if (leftOut.Count > 0)
        {
            notes.Add($"{leftOut.Count} tensors are left out, which are no part of the language model ({leftOut[0]}, …){(config.MropeSection is null ? string.Empty : "; --mmproj writes the vision tower")}");
        }
    }

    /// <summary>llama.cpp's name of the architecture.</summary>
    public string Architecture { get; }

    /// <summary>The tensors that the file will hold.</summary>
    public IEnumerable<GgufTensorInfo> Tensors => outputs.Select(output => output.Info);

    /// <summary>The key/value pairs that the file will hold.</summary>
    public GgufMetadata Metadata => metadata;

    /// <summary>What is left out, and what the source lacks.</summary>
    public IReadOnlyList<string> Notes => notes;

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

        ModelWeights weights = ModelWeights.OpenFolder(options.Model);
        try
        {
            return new GgufConversion(options, type, weights);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Does the work.</summary>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops the work; nothing is left behind.</param>
    /// <exception cref="JobException">A weight does not fit the type.</exception>
    /// <exception cref="IOException">The system refused to write.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public GgufConversionResult Run(IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        using GgufWriter writer = new(options.Output, metadata, [.. Tensors], options.MaxFileBytes);
        if (!options.Force && writer.Paths.FirstOrDefault(File.Exists) is { } existing)
        {
            throw new RequestException($"{existing} exists. Choose another name, or replace it with --force.");
        }

        long done = 0, total = Tensors.Sum(tensor => tensor.Bytes);
        foreach (GgufOutput output in outputs)
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
                    Check(chunk, type, output, part, first);
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
        return model.Tensors.Count() == outputs.Count
            ? new GgufConversionResult(writer.Paths, Architecture, options.Type.Name, outputs.Count, writer.Length, notes)
            : throw new JobException($"{writer.Paths[0]}: holds {model.Tensors.Count()} tensors instead of {outputs.Count} after writing. Something else has changed it; run the command again.");
    }

    /// <inheritdoc/>
    public void Dispose() => weights.Dispose();

    /// <summary>The largest binary32 that rounding to the type leaves finite.</summary>
    private static float LargestOf(ElementType type) => type switch
    {
        ElementType.F16 => MathF.BitDecrement(65520),
        ElementType.BF16 => BitConverter.UInt32BitsToSingle(0x7F7F7FFF),
        _ => float.MaxValue,
    };

    private static void Check(ReadOnlySpan<float> values, ElementType type, GgufOutput output, TensorSource part, int firstRow)
    {
        float largest = LargestOf(type);
        Vector<float> limit = new(largest);
        int i = 0;

        // NaN compares false: it is found too.
        for (; i <= values.Length - Vector<float>.Count && Vector.LessThanOrEqualAll(Vector.Abs(new Vector<float>(values[i..])), limit); i += Vector<float>.Count)
        {
        }

        for (; i < values.Length; i++)
        {
            if (!(MathF.Abs(values[i]) <= largest))
            {
                string remedy = float.IsFinite(values[i]) ? $"beyond what {type.SafetensorsName()} holds. Convert with --type bf16 or f32" : "no weight. The checkpoint is damaged";
                throw new JobException($"tensor '{part.Name}' ({output.Info.Name}), row {firstRow + (i / part.Columns)}, column {i % part.Columns}: {values[i]} is {remedy}.");
            }
        }
    }
}

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Text;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Conversion;

/// <summary>What a conversion from GGUF is asked to do.</summary>
public sealed record SafetensorsConversionOptions
{
    /// <summary>The source: a GGUF file, quantized or not.</summary>
    public required string Model { get; init; }

    /// <summary>The GGUF file with its vision tower; null for the language model alone.</summary>
    public string? Mmproj { get; init; }

    /// <summary>The folder to write.</summary>
    public required string Output { get; init; }

    /// <summary>The type of weights: F32, F16 or BF16.</summary>
    public ElementType Type { get; init; } = ElementType.BF16;

    /// <summary>Limit of a weight file in bytes.</summary>
    public long MaxShardBytes { get; init; } = JobOptions.DefaultMaxShardBytes;

    /// <summary>Replace an existing folder.</summary>
    public bool Force { get; init; }
}

/// <summary>A finished conversion from GGUF.</summary>
/// <param name="Folder">The folder.</param>
/// <param name="ModelType"><c>model_type</c> of its config.json.</param>
/// <param name="Type">The type of weights.</param>
/// <param name="Tensors">Number of tensors.</param>
/// <param name="Bytes">Tensor bytes.</param>
/// <param name="Notes">What a user should know.</param>
public sealed record SafetensorsConversionResult(string Folder, string ModelType, string Type, int Tensors, long Bytes, IReadOnlyList<string> Notes);

/// <summary>
/// Converts a GGUF file to a Hugging Face folder: config.json, tokenizer and chat template out of its metadata, weights decoded, under their names and in the order of their rows
/// there. Weights stream through a few megabytes; the folder gets its name when it is whole.
/// </summary>
public static class SafetensorsConversion
{
    private const int ChunkValues = 1 << 20;
    private const string Weight = ".weight";

    private static readonly string[] RealNumbers = ["rms_norm_eps", "rope_theta", "partial_rotary_factor", "routed_scaling_factor"];
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private static readonly Dictionary<string, string> Architectures = new()
    {
        ["glm"] = "GlmForCausalLM",
        ["glm4"] = "Glm4ForCausalLM",
        ["glm4_moe"] = "Glm4MoeForCausalLM",
        ["glm4v"] = "Glm4vForConditionalGeneration",
        ["glm4v_moe"] = "Glm4vMoeForConditionalGeneration",
    };

    /// <summary>Does the work.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops the work; nothing is left under the final name.</param>
    /// <exception cref="CheckpointException">The file is broken, or no model whose names in a checkpoint are known.</exception>
    /// <exception cref="RequestException">The output exists.</exception>
    /// <exception cref="JobException">A weight does not fit the type, or the system refused.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SafetensorsConversionResult Run(SafetensorsConversionOptions options, IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        using ModelWeights weights = ModelWeights.Open(options.Model, options.Mmproj);
        using GgufModel model = GgufModel.Open(options.Model);
        using GgufModel? tower = options.Mmproj is null ? null : GgufModel.Open(options.Mmproj);
        DecoderConfig config = DecoderConfig.Read(weights.Config);
        _ = Tokenizer.Load(model.Metadata, options.Model); // checks what is written out of the metadata
        List<(TensorInfo Info, MappedWeight Weight)> tensors = [.. Vision(weights.Config).Concat(WeightMap.Create(config, weights.Config.MtpLayers))
            .SelectMany(weight => weight.Parts.Select(part => (Info: new TensorInfo(part, TypeOf(part, options.Type), weight.Shape.Count == 3 ? [.. weight.Shape.Skip(1)] : weight.Shape), Weight: weight)))
            .Where(tensor => weights.Has(tensor.Info.Name) || !tensor.Weight.IsOptional)];
        IReadOnlyList<Shard<(TensorInfo Info, MappedWeight Weight)>> shards = Sharding.Split(tensors, tensor => tensor.Info.Bytes, options.MaxShardBytes);
        long total = tensors.Sum(tensor => tensor.Info.Bytes);
        WorkFolder work = new(options.Output);

        // What an earlier run left is written anew: there is no journal of its steps.
        if (work.Begin(options.Force, resume: true, total + (total / 100)))
        {
            using Journal journal = Journal.Open(work.JournalPath);
            long done = 0;
            foreach (Shard<(TensorInfo Info, MappedWeight Weight)> shard in shards)
            {
                WriteShard(Path.Combine(work.Output, shard.FileName), shard, weights, Report, cancellationToken);
            }

            WriteSideFiles(work.Output, options, weights.Config, model.Metadata, config, shards, total);
            if (tower is not null)
            {
                WriteAsJson(work.Output, ImageProcessorSettings.FileName, ImageProcessorSettings.Read(tower.Metadata, options.Mmproj!).ToJson());
            }

            using (CheckpointFolder.Open(work.Output))
            {
                work.Publish(journal);
            }

            void Report(string name, int bytes) => progress?.Report(new JobProgress(done += bytes, total, name));
        }

        string[] notes = config.MropeSection is null || tower is not null ? [] : ["the file holds the language model alone: the folder has no vision tower, and programs that want one do not load it. Name the tower's file with --mmproj"];
        return new SafetensorsConversionResult(options.Output, weights.Config.ModelType, options.Type.SafetensorsName(), tensors.Count, total, notes);
    }

    private static IEnumerable<MappedWeight> Vision(ModelConfig source) => VisionConfig.Read(source) is not { } config
        ? []
        : VisionWeightMap.Create(config).Prepend(new MappedWeight(
            VisionWeightMap.FrameKernel(0), [VisionWeightMap.PatchKernel], [config.HiddenSize, config.InChannels, config.TemporalPatchSize, config.PatchSize, config.PatchSize], null, false));

    // The bias of the router's choice is kept in binary32 in checkpoints: rounding it would choose other experts.
    private static ElementType TypeOf(string name, ElementType type) => name.EndsWith("e_score_correction_bias", StringComparison.Ordinal) ? ElementType.F32 : type;

    private static void WriteShard(
        string path, Shard<(TensorInfo Info, MappedWeight Weight)> shard, ModelWeights weights, Action<string, int> report, CancellationToken cancellationToken)
    {
        SafetensorsLayout layout = SafetensorsLayout.Create([.. shard.Units.Select(unit => unit.Info)], new Dictionary<string, string> { ["format"] = "pt" });
        using FileStream file = DurableFile.Attempt(path, () => new FileStream(path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, PreallocationSize = layout.Length }));
        DurableFile.Attempt(path, () => file.Write(layout.HeaderBytes.Span));
        foreach ((TensorInfo info, MappedWeight weight) in shard.Units)
        {
            TensorSource source = info.Shape switch
            {
                [long width] => new VectorSource(info.Name, weights.Vector(info.Name, width)),
                [long rows, long columns] => new MatrixSource(info.Name, weights.Matrix(info.Name[..^Weight.Length], (int)rows, (int)columns), null),
                _ => new MatrixSource(info.Name, weights.Kernel(info.Name[..^Weight.Length], [.. info.Shape]), null),
            };
            int rowsEach = Math.Clamp(ChunkValues / source.Columns, 1, source.Rows);
            float[] values = new float[rowsEach * source.Columns];
            byte[] bytes = new byte[values.Length * info.Type.Bytes()];
            for (int first = 0; first < source.Rows; first += rowsEach)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int count = Math.Min(rowsEach, source.Rows - first) * source.Columns, length = count * info.Type.Bytes();
                source.Read(first, count / source.Columns, values.AsSpan(0, count));
                FloatRange.Check(values.AsSpan(0, count), info.Type, weight.Gguf, source, first);
                ElementConversion.FromSingle(info.Type, values.AsSpan(0, count), bytes.AsSpan(0, length));
                DurableFile.Attempt(path, () => file.Write(bytes, 0, length));
                report(info.Name, length);
            }

            source.Release();
        }

        DurableFile.Attempt(path, () => file.Flush(flushToDisk: true));
    }

    private static void WriteSideFiles(
        string folder, SafetensorsConversionOptions options, ModelConfig source, GgufMetadata metadata, DecoderConfig config, IReadOnlyList<Shard<(TensorInfo Info, MappedWeight Weight)>> shards, long total)
    {
        string type = options.Type switch { ElementType.BF16 => "bfloat16", ElementType.F16 => "float16", _ => "float32" };
        JsonObject json = JsonNode.Parse(source.Text.Utf8)!.AsObject();
        Spell(json);
        json["dtype"] = type;
        HuggingFaceTokenizer.AddIds(metadata, json["text_config"] as JsonObject ?? json);
        if (Architectures.TryGetValue(source.ModelType, out string? name))
        {
            json["architectures"] = new JsonArray(JsonValue.Create(name));
        }

        WriteAsJson(folder, ModelConfig.FileName, json);
        foreach ((string file, byte[] bytes) in HuggingFaceTokenizer.Files(metadata, config.MaxPositionEmbeddings))
        {
            DurableFile.WriteAtomically(Path.Combine(folder, file), bytes);
        }

        if (shards.Count > 1)
        {
            DurableFile.WriteAtomically(Path.Combine(folder, Sharding.IndexFileName), Sharding.WriteIndex(shards.SelectMany(shard => shard.Units.Select(unit => (unit.Info.Name, shard.FileName))), total));
        }
    }

    private static void WriteAsJson(string folder, string file, JsonObject json) =>
        DurableFile.WriteAtomically(Path.Combine(folder, file), Encoding.UTF8.GetBytes(json.ToJsonString(Indented) + "\n"));

    /// <summary>Writes real numbers with a point, without which transformers takes them for integers and refuses them, and leaves out what is null.</summary>
    private static void Spell(JsonObject json)
    {
        foreach ((string key, JsonNode? value) in json.ToArray())
        {
            if (value is null)
            {
                json.Remove(key);
            }
            else if (value is JsonObject inner)
            {
                Spell(inner);
            }
            else if (RealNumbers.Contains(key) && value.ToJsonString() is { } number && !number.AsSpan().ContainsAny(".eE"))
            {
                json[key] = JsonNode.Parse(number + ".0");
            }
        }
    }
}

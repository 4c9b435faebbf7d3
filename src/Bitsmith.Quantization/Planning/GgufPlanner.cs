using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Planning;

/// <summary>Decides for every tensor of a GGUF result, from names, shapes, types and the importance matrix alone.</summary>
internal static class GgufPlanner
{
    private const string QuantizationVersionKey = "general.quantization_version", ImatrixKey = "quantize.imatrix.";

    /// <summary>Makes a plan.</summary>
    /// <exception cref="RequestException">The mix or an option does not suit the model.</exception>
    /// <exception cref="CheckpointException">The source lacks numbers, or the importance matrix belongs to another model.</exception>
    public static GgufPlan Create(GgufSource source, ImportanceMatrix? imatrix, GgufJobOptions options)
    {
        IReadOnlyList<MixDecision> decisions = MixPlanner.Decide(options.Mix, options.AllMixOptions, MixModel.Read(source.Metadata), source.Tensors.Select(tensor => tensor.Info), imatrix is not null);
        GgufPlanRow[] rows = [.. decisions.Select(decision => Row(decision, imatrix, options))];
        List<string> warnings = [.. source.Notes];
        CheckImportance(decisions, imatrix, options, warnings);
        CheckSource(rows, source, options, warnings);

        // No program collects data for the embedding, and few for the head: to warn of them each time would teach to overlook warnings.
        if (rows.Where(row => row.Importance == ImportanceUse.Missing && TensorRoles.Of(row.Output.Name).Role is not (TensorRole.Embedding or TensorRole.Output)).ToArray() is { Length: > 0 } missing)
        {
            warnings.Add($"{missing.Length} tensor(s) have no data in {Path.GetFileName(options.Imatrix)} ({missing[0].Output.Name}, …): all their columns count the same");
        }

        if (rows.Where(row => row.Importance == ImportanceUse.Partial).ToArray() is { Length: > 0 } partial)
        {
            warnings.Add($"{partial.Sum(row => row.MatricesWithoutData)} expert matrices in {partial.Length} tensor(s) have no data in {Path.GetFileName(options.Imatrix)} ({partial[0].Output.Name}, …): all their columns count the same");
        }

        return new GgufPlan(options.Mix, rows, Metadata(source, imatrix, options), warnings);
    }

    private static GgufPlanRow Row(MixDecision decision, ImportanceMatrix? imatrix, GgufJobOptions options)
    {
        GgufTensorInfo tensor = decision.Tensor;
        GgufTensorType type = decision.Type is { } wanted ? GgufTensorType.Find((int)wanted)! : tensor.Type;
        if (type == tensor.Type)
        {
            return new GgufPlanRow(tensor, tensor, false, decision.Type is null ? decision.Rule : $"kept: is {type.Name} already ({decision.Rule})", ImportanceUse.None, 0);
        }

        (ImportanceUse use, int without) = UseFor(tensor, type, imatrix, options);
        return new GgufPlanRow(tensor, tensor with { Type = type }, true, decision.Rule, use, without);
    }

    private static (ImportanceUse Use, int Without) UseFor(GgufTensorInfo tensor, GgufTensorType type, ImportanceMatrix? imatrix, GgufJobOptions options)
    {
        if (imatrix is null || type.BlockValues == 1)
        {
            return (ImportanceUse.None, 0);
        }

        if (!imatrix.Entries.TryGetValue(tensor.Name, out ImatrixEntry? entry))
        {
            return (ImportanceUse.Missing, 0);
        }

        long columns = tensor.Shape[^1], matrices = tensor.Elements / columns / tensor.Shape[^2];
        if (entry.Squares.Length != columns * matrices)
        {
            throw new CheckpointException(options.Imatrix!, $"has {entry.Squares.Length} sums for '{tensor.Name}', which is {tensor.Describe()}; expected {columns * matrices}. The importance matrix belongs to another model.");
        }

        return entry.Unseen == 0 ? (ImportanceUse.Full, 0) : entry.Unseen == entry.Counts.Length ? (ImportanceUse.Missing, 0) : (ImportanceUse.Partial, entry.Unseen);
    }

    /// <summary>Without any importance matrix llama-quantize refuses some types: what it would write is hardly of use. So is it here, unless permitted.</summary>
    private static void CheckImportance(IReadOnlyList<MixDecision> decisions, ImportanceMatrix? imatrix, GgufJobOptions options, List<string> warnings)
    {
        MixDecision[] needing = imatrix is null ? [.. decisions.Where(decision => MixPlanner.NeedsImportance(options.Mix, decision))] : [];
        if (needing.Length == 0)
        {
            return;
        }

        string problem = $"{needing.Length} tensor(s) take types of so few bits that they need an importance matrix, the first {needing[0].Tensor.Name} as {needing[0].Type}";
        warnings.Add(options.AllowNoImatrix
            ? $"{problem}; none is given: all columns count the same"
            : throw new RequestException($"{options.Mix.Name}: {problem}. Give one with --imatrix FILE, choose another --scheme, or permit equal weights with --allow-no-imatrix."));
    }

    private static void CheckSource(GgufPlanRow[] rows, GgufSource source, GgufJobOptions options, List<string> warnings)
    {
        if (!Array.Exists(rows, row => row.IsEncoded))
        {
            throw new RequestException($"nothing would change: every tensor of {source.Path} has its type already, or stays as it is.");
        }

        foreach (GgufPlanRow row in rows.Where(row => row.IsEncoded))
        {
            if (row.Source.Elements == 0 || !GgmlFormats.TryGet(row.Source.Type.Number, out _))
            {
                throw new CheckpointException(source.Path, $"tensor '{row.Source.Name}' is {row.Source.Describe()}, which cannot be quantized.");
            }
        }

        if (Array.Find(rows, row => row is { IsEncoded: true, Source.Type.BlockValues: > 1 }) is { } quantized)
        {
            string problem = $"{source.Path} is quantized already ({quantized.Source.Name} is {quantized.Source.Type.Name})";
            warnings.Add(options.AllowRequantize
                ? $"{problem}: what that lost stays lost, and more comes to it"
                : throw new RequestException($"{problem}. Start from the original, or permit it with --allow-requantize; the result is worse than one from the original."));
        }
    }

    /// <summary>The source's pairs, then what llama-quantize sets, in its order.</summary>
    private static GgufMetadata Metadata(GgufSource source, ImportanceMatrix? imatrix, GgufJobOptions options)
    {
        GgufMetadata metadata = new(options.Output);
        foreach ((string key, GgufValue value) in source.Metadata.Where(pair =>
            pair.Key is not (QuantizationVersionKey or GgufFileType.Key) && !(imatrix is not null && pair.Key.StartsWith(ImatrixKey, StringComparison.Ordinal))))
        {
            metadata.Add(key, value);
        }

        metadata.Add(QuantizationVersionKey, GgufHyperparameters.QuantizationVersion);
        metadata.Add(GgufFileType.Key, options.Mix.FileType);
        if (imatrix is not null)
        {
            metadata.Add(ImatrixKey + "file", Path.GetFileName(options.Imatrix!)); // a path would say where someone keeps files, and change with it
            if (imatrix.Datasets.Count > 0)
            {
                metadata.Add(ImatrixKey + "dataset", imatrix.Datasets[0]);
            }

            metadata.Add(ImatrixKey + "entries_count", (uint)imatrix.Entries.Count);
            if (imatrix.ChunkCount > 0)
            {
                metadata.Add(ImatrixKey + "chunks_count", (uint)imatrix.ChunkCount);
            }
        }

        return metadata;
    }
}

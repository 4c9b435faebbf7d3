using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Modules;

namespace Bitsmith.Quantization.Planning;

/// <summary>What a job will do: one row for each tensor, in the order of the source; the resulting configuration; totals.</summary>
/// <param name="Rows">The rows.</param>
/// <param name="Config">The <c>quantization_config</c> that the result gets.</param>
/// <param name="Modules">The checkpoint's modules.</param>
/// <param name="Warnings">What a reader should know before starting.</param>
public sealed record QuantizationPlan(
    IReadOnlyList<PlanRow> Rows, QuantizationConfig Config, ModuleTree Modules, IReadOnlyList<string> Warnings)
{
    /// <summary>Tensor bytes of the source.</summary>
    public long BytesBefore { get; } = Rows.Sum(row => row.Source.Bytes);

    /// <summary>Tensor bytes of the result.</summary>
    public long BytesAfter { get; } = Rows.Sum(row => row.BytesAfter);

    /// <summary>Number of Linear modules that are encoded.</summary>
    public int EncodedModules { get; } = Rows.Count(row => row.IsEncoded);

    /// <summary>Splits the result into weight files; codes and scales of one weight stay together.</summary>
    public IReadOnlyList<Shard<PlanRow>> Shards(long maxShardBytes) => Sharding.Split(Rows, row => row.BytesAfter, maxShardBytes);
}

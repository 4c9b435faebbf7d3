using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Planning;

/// <summary>What a job will need; the job holds to it.</summary>
/// <param name="PeakMemoryBytes">Most resident memory.</param>
/// <param name="DiskBytes">Free space needed where the result is written.</param>
/// <param name="ReadBytes">Bytes read from the source.</param>
/// <param name="Shards">Weight files written.</param>
public sealed record ResourceEstimate(long PeakMemoryBytes, long DiskBytes, long ReadBytes, int Shards)
{
    // Measured: the runtime, the command line and the JIT, before any tensor.
    private const long RuntimeBytes = 120L << 20;

    // Names, shapes, rows and JSON of one tensor, in the source and in the result.
    private const long BytesPerTensor = 6 << 10;

    // Config, index, manifest and journal of one tensor.
    private const long TextBytesPerTensor = 1 << 10;

    /// <summary>Predicts from the plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="sideFileBytes">Bytes of the side files that are copied.</param>
    /// <param name="maxShardBytes">Shard limit.</param>
    /// <param name="threads">Encoding threads.</param>
    public static ResourceEstimate Predict(QuantizationPlan plan, long sideFileBytes, long maxShardBytes, int threads)
    {
        ArgumentNullException.ThrowIfNull(plan);
        (long chunk, long scales) = (0, 0);
        foreach (PlanRow row in plan.Rows)
        {
            chunk = Math.Max(chunk, ChunkPlan.Of(row).BytesPerChunk);
            scales = Math.Max(scales, row.IsEncoded ? row.Outputs[1].Bytes : 0);
        }

        long pool = ChunkPlan.PoolSize(threads) * (chunk + (chunk / 2));
        long text = plan.Rows.Count * TextBytesPerTensor;
        return new ResourceEstimate(
            RuntimeBytes + pool + (2 * scales) + (plan.Rows.Count * BytesPerTensor),
            plan.BytesAfter + sideFileBytes + text + (1 << 20),
            plan.BytesBefore + sideFileBytes,
            plan.Shards(maxShardBytes).Count);
    }
}

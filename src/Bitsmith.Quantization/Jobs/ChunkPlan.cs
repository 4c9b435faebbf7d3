using Bitsmith.Quantization.Planning;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// How a tensor is cut for streaming: whole block rows where it is encoded, plain runs of bytes where it is copied. The cut depends on
/// the tensor alone, never on threads, so results do not either.
/// </summary>
/// <param name="RowsPerChunk">Matrix rows in a chunk; 0 where the tensor is copied.</param>
/// <param name="BytesPerChunk">Source bytes in a full chunk.</param>
/// <param name="Count">Number of chunks; an empty tensor has one, without bytes.</param>
internal readonly record struct ChunkPlan(int RowsPerChunk, long BytesPerChunk, int Count)
{
    /// <summary>The size aimed at: large enough for full disk speed, small enough for the caches' sake.</summary>
    public const int TargetBytes = 4 << 20;

    /// <summary>Chunks in flight: each encoding thread has one at work and one waiting, each of the other stages holds one.</summary>
    public static int PoolSize(int threads) => (2 * threads) + 6;

    public static ChunkPlan Of(PlanRow row)
    {
        long total = row.Source.Bytes;
        if (!row.IsEncoded)
        {
            return new ChunkPlan(0, Math.Min(total, TargetBytes), Math.Max(1, checked((int)((total + TargetBytes - 1) / TargetBytes))));
        }

        (long rows, long columns) = (row.Source.Shape[0], row.Source.Shape[1]);
        long rowBytes = total / rows;
        int blockRows = row.Group!.Storage.RowsTogether;
        long blocks = Math.Max(1, TargetBytes / (rowBytes * blockRows));
        long rowsPerChunk = Math.Min(rows, blocks * blockRows);
        long bytes = rowsPerChunk * rowBytes;
        return bytes <= int.MaxValue && columns <= int.MaxValue
            ? new ChunkPlan((int)rowsPerChunk, bytes, (int)((rows + rowsPerChunk - 1) / rowsPerChunk))
            : throw new Recipes.RecipeException(
                $"'{row.Source.Name}' is {row.Source.Describe()}: {blockRows} rows of it take {bytes} bytes, more than fit into memory at once. Ignore it or use lower blocks.");
    }
}

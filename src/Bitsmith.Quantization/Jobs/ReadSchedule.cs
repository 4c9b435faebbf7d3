using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// The reads of a job, in order. Source files are read from front to back, so that each byte is read once and hashed on the way. After an
/// interruption, tensors already written are skipped; the front part of a file whose hash is not finished is read again for the hash only.
/// </summary>
/// <param name="Files">The source files.</param>
/// <param name="Shards">All weight files of the result, in order.</param>
/// <param name="FinishedShards">How many of them are done.</param>
/// <param name="HashedFiles">Names of source files whose hash is known.</param>
internal sealed record ReadSchedule(
    IReadOnlyList<SafetensorsFile> Files, IReadOnlyList<Shard<PlanRow>> Shards, int FinishedShards, IReadOnlySet<string> HashedFiles)
{
    public IEnumerable<ReadStep> Steps()
    {
        Dictionary<string, (PlanRow Row, int Shard, bool EndsShard)> places = new(StringComparer.Ordinal);
        for (int shard = 0; shard < Shards.Count; shard++)
        {
            foreach (PlanRow row in Shards[shard].Units)
            {
                places.Add(row.Source.Name, (row, shard, ReferenceEquals(row, Shards[shard].Units[^1])));
            }
        }

        for (int file = 0; file < Files.Count; file++)
        {
            SafetensorsFile source = Files[file];
            bool hash = !HashedFiles.Contains(Path.GetFileName(source.Path));
            if (hash)
            {
                // The header is the start of the file's hash.
                foreach (ReadStep step in HashOnly(file, 0, source.Header.Bytes))
                {
                    yield return step with { EndsFile = source.Header.Tensors.Count == 0 };
                }
            }

            for (int i = 0; i < source.Header.Tensors.Count; i++)
            {
                StoredTensor tensor = source.Header.Tensors[i];
                bool last = i == source.Header.Tensors.Count - 1;
                (PlanRow row, int shard, bool endsShard) = places[tensor.Name];
                IEnumerable<ReadStep> steps = shard >= FinishedShards
                    ? Whole(file, tensor, row, hash, endsShard ? shard : -1)
                    : hash ? HashOnly(file, tensor.Offset, tensor.Bytes) : [];
                ReadStep? held = null;
                foreach (ReadStep step in steps)
                {
                    if (held is { } previous)
                    {
                        yield return previous;
                    }

                    held = step;
                }

                if (held is { } final)
                {
                    yield return final with { EndsFile = last };
                }
            }
        }
    }

    private static IEnumerable<ReadStep> Whole(int file, StoredTensor tensor, PlanRow row, bool hash, int endsShard)
    {
        ChunkPlan cut = ChunkPlan.Of(row);
        long rowBytes = row.IsEncoded ? tensor.Bytes / tensor.Shape[0] : 0;
        for (int chunk = 0; chunk < cut.Count; chunk++)
        {
            long offset = chunk * cut.BytesPerChunk;
            int bytes = (int)Math.Min(cut.BytesPerChunk, tensor.Bytes - offset);
            bool last = chunk == cut.Count - 1;
            yield return new ReadStep(
                file, tensor.Offset + offset, bytes, row, offset, chunk * cut.RowsPerChunk, row.IsEncoded ? (int)(bytes / rowBytes) : 0,
                hash, last, false, last ? endsShard : -1);
        }
    }

    private static IEnumerable<ReadStep> HashOnly(int file, long offset, long length)
    {
        do
        {
            int bytes = (int)Math.Min(length, ChunkPlan.TargetBytes);
            yield return new ReadStep(file, offset, bytes, null, 0, 0, 0, true, false, false, -1);
            offset += bytes;
            length -= bytes;
        }
        while (length > 0);
    }
}

using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// The largest magnitudes that global scales follow from. Weights that clients fuse into one matrix share one, so all of them are read once before the first is encoded. Nothing is kept: a resumed job reads
/// again what it still needs, and finds the same.
/// </summary>
internal sealed class WeightRanges
{
    private readonly ConcurrentDictionary<string, float> largest = new(StringComparer.Ordinal);
    /// <summary>Reads the weights.</summary>
    /// <param name="files">The source.</param>
    /// <param name="rows">The rows of the plan that are still to be written, and all others that share scales with them.</param>
    /// <param name="threads">Threads; each holds a chunk.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="CheckpointException">A weight is NaN or infinite.</exception>
    public static WeightRanges Measure(IReadOnlyList<SafetensorsFile> files, IEnumerable<PlanRow> rows, int threads, CancellationToken cancellationToken)
    {
        WeightRanges ranges = new();
        Dictionary<string, (SafetensorsFile File, StoredTensor Tensor)> places = files
            .SelectMany(file => file.Header.Tensors.Select(tensor => (tensor.Name, (file, tensor)))).ToDictionary(StringComparer.Ordinal);
        try
        {
            Parallel.ForEach(
                Partitioner.Create(rows.Where(row => row.Fusion is not null), EnumerablePartitionerOptions.NoBuffering),
                new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken },
                () => new byte[ChunkPlan.TargetBytes],
                (row, _, buffer) =>
                {
                    (SafetensorsFile file, StoredTensor tensor) = places[row.Source.Name];
                    float most = LargestOf(file, tensor, row, buffer, cancellationToken);
                    ranges.largest.AddOrUpdate(row.Fusion!, most, (_, other) => Math.Max(other, most));
                    return buffer;
                },
                _ => { });
        }
        catch (AggregateException problem)
        {
            ExceptionDispatchInfo.Throw(problem.InnerExceptions[0]);
        }

        return ranges;
    }

    /// <summary>The global scale of a row; 1 where its format has none.</summary>
    public float Of(PlanRow row) => row.Fusion is null ? 1 : NvFp4Group.LibraryGlobalScale(row.Source.Type, largest[row.Fusion]);

    private static float LargestOf(SafetensorsFile file, StoredTensor tensor, PlanRow row, byte[] buffer, CancellationToken cancellationToken)
    {
        float largest = 0;
        for (long offset = 0; offset < tensor.Bytes; offset += buffer.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Bytes - offset));
            file.Read(tensor.Offset + offset, part);
            float most = ElementConversion.LargestMagnitude(tensor.Type, part, out int place);
            if (!float.IsFinite(most))
            {
                long element = (offset / tensor.Type.Bytes()) + place, columns = tensor.Shape[1];
                throw new CheckpointException(
                    file.Path, $"tensor '{tensor.Name}': the weight at row {element / columns}, column {element % columns} is {most}. {row.Group!.Storage.Name} needs finite weights; the checkpoint is damaged, or ignore {row.Module.Name}.");
            }

            largest = Math.Max(largest, most);
        }

        return largest;
    }
}

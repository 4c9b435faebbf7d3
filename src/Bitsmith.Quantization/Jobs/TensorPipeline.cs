using System.Collections.Concurrent;
using System.Security.Cryptography;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// Streams the source through five stages, each on its own threads: read, hash the source, encode, write, hash the result. A fixed pool of chunks
/// bounds memory. Files are written front to back; the order of everything but encoding is that of the source. What calibration has made takes the place of encoding.
/// </summary>
/// <remarks>
/// The source is read through the file interface, not mapped: a file that shrinks under a mapping kills the process, here it is an error; and resident memory
/// stays small and known.
/// </remarks>
internal sealed class TensorPipeline
{
    private readonly ReadSchedule schedule;
    private readonly string output;
    private readonly WeightEncoder encoder;
    private readonly WeightRanges ranges;
    private readonly CalibratedWeights? calibrated;
    private readonly Journal journal;
    private readonly IProgress<JobProgress>? progress;
    private readonly long totalBytes;

    private readonly BlockingCollection<Chunk> free = [];
    private readonly BlockingCollection<Chunk> toHash = [];
    private readonly BlockingCollection<Chunk> toEncode = [];
    private readonly BlockingCollection<Chunk> toWrite = [];
    private readonly BlockingCollection<Written> toFinish = [];
    private readonly TaskCompletionSource<SourcePrefix?>[] prefixes;
    private readonly SourcePrefix? expectedPrefix;

    public TensorPipeline(
        ReadSchedule schedule, string output, WeightEncoder encoder, WeightRanges ranges, CalibratedWeights? calibrated, Journal journal, IProgress<JobProgress>? progress)
    {
        this.schedule = schedule;
        this.output = output;
        this.encoder = encoder;
        this.ranges = ranges;
        this.calibrated = calibrated;
        this.journal = journal;
        this.progress = progress;
        totalBytes = schedule.Files.Sum(file => file.Length);
        prefixes = [.. schedule.Shards.Select(_ => new TaskCompletionSource<SourcePrefix?>(TaskCreationOptions.RunContinuationsAsynchronously))];
        expectedPrefix = journal.Shards.LastOrDefault()?.Prefix;
    }

    public void Run(int threads, CancellationToken cancellationToken)
    {
        Chunk[] pool = [.. Enumerable.Range(0, ChunkPlan.PoolSize(threads)).Select(_ => new Chunk())];
        foreach (Chunk chunk in pool)
        {
            free.Add(chunk, CancellationToken.None);
        }

        using Stages stages = new(cancellationToken);
        CancellationToken token = stages.Token;
        stages.Start(() => Read(token));
        stages.Start(() => HashSources(token));
        for (int i = 0; i < threads; i++)
        {
            stages.Start(() => EncodeChunks(token));
        }

        stages.Start(() => WriteShards(token));
        stages.Start(() => FinishShards(token));
        try
        {
            stages.Wait();
        }
        finally
        {
            Array.ForEach(pool, chunk => chunk.Dispose());
        }
    }

    private void Read(CancellationToken token)
    {
        long done = 0;
        foreach (ReadStep step in schedule.Steps())
        {
            Chunk chunk = free.Take(token);
            chunk.Begin(step, stages: step.Row is null ? 1 : 2);
            schedule.Files[step.File].Read(step.Offset, chunk.Input);
            toHash.Add(chunk, token);
            if (step.Row is not null)
            {
                toWrite.Add(chunk, token);
                if (step.Row.IsEncoded || calibrated?.Holds(step.Row) == true)
                {
                    toEncode.Add(chunk, token);
                }
                else
                {
                    chunk.Encoded.Set();
                }
            }

            done += step.Bytes;
            progress?.Report(new JobProgress(done, totalBytes, step.Row?.Source.Name ?? string.Empty));
        }

        toHash.CompleteAdding();
        toEncode.CompleteAdding();
        toWrite.CompleteAdding();
    }

    private void HashSources(CancellationToken token)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (Chunk chunk in toHash.GetConsumingEnumerable(token))
        {
            ReadStep step = chunk.Step;
            SafetensorsFile file = schedule.Files[step.File];
            string name = Path.GetFileName(file.Path);
            SourcePrefix? prefix = null;
            if (step.Hash)
            {
                hash.AppendData(chunk.Input);
                long position = step.Offset + step.Bytes;
                if (expectedPrefix is { } expected && expected.File == name && expected.Bytes == position)
                {
                    string found = Convert.ToHexStringLower(hash.GetCurrentHash());
                    if (found != expected.Sha256)
                    {
                        throw new CheckpointException(file.Path, $"its first {position} bytes are not those that the job read before it was interrupted. Start over with --force, or restore the file.");
                    }
                }

                if (step.EndsFile)
                {
                    FileDigest digest = new(name, file.Length, Convert.ToHexStringLower(hash.GetHashAndReset()));
                    journal.Append(new JournalEntry { Source = new SourceEntry(digest, File.GetLastWriteTimeUtc(file.Path).Ticks) });
                }
                else if (step.EndsShard >= 0)
                {
                    prefix = new SourcePrefix(name, position, Convert.ToHexStringLower(hash.GetCurrentHash()));
                }
            }

            if (step.EndsShard >= 0)
            {
                prefixes[step.EndsShard].SetResult(prefix);
            }

            Recycle(chunk);
        }
    }

    private void EncodeChunks(CancellationToken token)
    {
        foreach (Chunk chunk in toEncode.GetConsumingEnumerable(token))
        {
            if (calibrated?.Holds(chunk.Step.Row!) == true)
            {
                Take(chunk, calibrated);
            }
            else
            {
                Encode(chunk);
            }

            chunk.Encoded.Set();
        }
    }

    private void Encode(Chunk chunk)
    {
        ReadStep step = chunk.Step;
        PlanRow row = step.Row!;
        StorageFormat format = row.Group!.Storage;
        Prepare(chunk, format, format.RowsOf(1, step.Rows), encoder == WeightEncoder.Best);
        try
        {
            format.Encode(
                encoder, row.Source.Type, chunk.Input, step.Rows, ColumnWeights.Of([], (int)row.Source.Shape[1]), ranges.Of(row),
                chunk.Rows, chunk.Errors.Span, chunk.LibraryErrors.Span);
        }
        catch (NonFiniteWeightException problem)
        {
            throw new CheckpointException(
                schedule.Files[step.File].Path,
                $"tensor '{row.Source.Name}': the weight at row {step.FirstRow + problem.Row}, column {problem.Column} is {problem.Value}. {format.Name} needs finite weights; the checkpoint is damaged, or ignore {row.Module.Name}.",
                problem);
        }
    }

    /// <summary>Takes what calibration made in the place of the input, and measures how far encoded weights are from it.</summary>
    private static void Take(Chunk chunk, CalibratedWeights calibrated)
    {
        ReadStep step = chunk.Step;
        PlanRow row = step.Row!;
        if (row.Group?.Storage is not { } format)
        {
            chunk.Prepare(step.Bytes, 0, 0, 0, withLibrary: false);
            calibrated.Read(row.Source.Name, step.Start, chunk.Rows.Codes.Span);
            return;
        }

        int columns = (int)row.Source.Shape[1];
        Prepare(chunk, format, 1, withLibrary: false);
        Memory<byte>[] parts = [chunk.Rows.Codes, chunk.Rows.Scales, chunk.Rows.ZeroPoints];
        for (int i = 0; i < format.RowOutputs; i++)
        {
            TensorInfo output = row.Outputs[i];
            calibrated.Read(output.Name, output.Bytes / output.Shape[0] * format.RowsOf(i, step.FirstRow), parts[i].Span);
        }

        float globalScale = format.HasGlobalScale ? BitConverter.ToSingle(calibrated.Constants(row)) : 1;
        if (format.WhyWrong(row.Source.Type, [], columns, chunk.Rows, globalScale, step.FirstRow) is { } problem)
        {
            throw new JobException($"calibration of '{row.Source.Name}': {problem}. This is a bug in Bitsmith.");
        }

        chunk.Errors.Span[0] = format.Measure(row.Source.Type, chunk.Input, chunk.Rows, step.Rows, columns, globalScale);
    }

    /// <summary>Makes room for the rows of a step.</summary>
    private static void Prepare(Chunk chunk, StorageFormat format, int errors, bool withLibrary)
    {
        (PlanRow row, int rows) = (chunk.Step.Row!, chunk.Step.Rows);
        chunk.Prepare(BytesOf(0), BytesOf(1), format.HasZeroPoints ? BytesOf(2) : 0, errors, withLibrary);

        int BytesOf(int output) => checked((int)(row.Outputs[output].Bytes / row.Outputs[output].Shape[0] * format.RowsOf(output, rows)));
    }

    private void WriteShards(CancellationToken token)
    {
        ShardWriter? shard = null;
        try
        {
            int index = schedule.FinishedShards;
            foreach (Chunk chunk in toWrite.GetConsumingEnumerable(token))
            {
                shard ??= new ShardWriter(output, schedule.Shards[index], ranges, calibrated, toFinish);
                chunk.Encoded.Wait(token);
                bool ends = chunk.Step.EndsShard >= 0; // read now: once written, the chunk may be reused
                shard.Write(chunk);
                if (ends)
                {
                    shard.Complete(index++);
                    shard = null;
                }
            }
        }
        finally
        {
            shard?.Dispose();
        }

        toFinish.CompleteAdding();
    }

    private void FinishShards(CancellationToken token)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (Written part in toFinish.GetConsumingEnumerable(token))
        {
            hash.AppendData(part.Data.Span);
            if (part.Chunk is not null)
            {
                Recycle(part.Chunk);
            }

            if (part.End is { } end)
            {
                using (end.Handle)
                {
                    DurableFile.Attempt(end.Path, () => RandomAccess.FlushToDisk(end.Handle));
                }

                FileDigest digest = new(Path.GetFileName(end.Path), end.Length, Convert.ToHexStringLower(hash.GetHashAndReset()));
                prefixes[end.Shard].Task.Wait(token);
                journal.Append(new JournalEntry { Shard = new ShardEntry(digest, end.Losses, prefixes[end.Shard].Task.Result) });
            }
        }
    }

    private void Recycle(Chunk chunk)
    {
        if (chunk.Release())
        {
            free.Add(chunk);
        }
    }
}

/// <summary>Bytes that have been written and await their hash.</summary>
/// <param name="Data">The bytes.</param>
/// <param name="Chunk">The chunk to give back, if these are its last bytes.</param>
/// <param name="End">Set behind the last bytes of a file.</param>
internal readonly record struct Written(ReadOnlyMemory<byte> Data, Chunk? Chunk, ShardEnd? End);

/// <summary>A weight file whose bytes are all written but not yet on disk.</summary>
internal sealed record ShardEnd(int Shard, string Path, SafeFileHandle Handle, long Length, IReadOnlyList<TensorLoss> Losses);

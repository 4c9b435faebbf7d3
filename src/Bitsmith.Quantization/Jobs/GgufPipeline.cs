using System.Collections.Concurrent;
using System.Security.Cryptography;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Tensors.Formats;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Where an interrupted job stands.</summary>
/// <param name="File">The first file that is not finished.</param>
/// <param name="Position">Bytes of it that are on disk.</param>
/// <param name="Sha256">Their hash; empty at the start of a file.</param>
internal sealed record GgufProgress(int File, long Position, string Sha256);

/// <summary>
/// Streams tensors into GGUF files through three stages, each on its own threads: read and encode, write, hash. A fixed pool of chunks bounds memory; what the encoding threads
/// take, and what is written, follows the order of the file. Now and then the file is flushed, and the journal says how far it is.
/// </summary>
internal sealed class GgufPipeline
{
    private const int HashedBytes = 1 << 20;

    private readonly GgufSteps steps;
    private readonly string folder;
    private readonly IReadOnlyList<string> names;
    private readonly Journal journal;
    private readonly IProgress<JobProgress>? progress;
    private readonly Dictionary<string, GgufOutput> outputs;

    private readonly BlockingCollection<GgufChunk> free = [];
    private readonly BlockingCollection<GgufChunk> toWrite = [];
    private readonly BlockingCollection<GgufChunk> toFinish = [];
    private readonly ConcurrentDictionary<int, SafeFileHandle> open = [];
    private readonly Lock taking = new();

    private readonly long checkpointValues;

    public GgufPipeline(GgufSteps steps, string folder, IReadOnlyList<string> names, Journal journal, long checkpointValues, IProgress<JobProgress>? progress)
    {
        (this.steps, this.folder, this.names, this.journal, this.checkpointValues, this.progress) = (steps, folder, names, journal, checkpointValues, progress);
        outputs = steps.Source.Tensors.ToDictionary(output => output.Info.Name, StringComparer.Ordinal);
    }

    /// <summary>Chunks in flight: each encoding thread has one at work and one waiting, each of the other stages holds one.</summary>
    public static int PoolSize(int threads) => (2 * threads) + 4;

    public void Run(GgufProgress from, int threads, CancellationToken cancellationToken)
    {
        if (from.File == names.Count)
        {
            return;
        }

        using IncrementalHash hash = HashOf(from);
        GgufChunk[] pool = [.. Enumerable.Range(0, PoolSize(threads)).Select(_ => new GgufChunk())];
        Array.ForEach(pool, chunk => free.Add(chunk, CancellationToken.None));
        using Stages stages = new(cancellationToken);
        CancellationToken token = stages.Token;
        using IEnumerator<GgufStep> order = steps.From(from.File, from.Position).GetEnumerator();
        for (int i = 0; i < threads; i++)
        {
            stages.Start(() => Encode(order, token));
        }

        stages.Start(() => Write(from, token));
        stages.Start(() => Finish(hash, from, token));
        try
        {
            stages.Wait();
        }
        finally
        {
            Array.ForEach(pool, chunk => chunk.Dispose());
            foreach (SafeFileHandle handle in open.Values)
            {
                handle.Dispose();
            }
        }
    }

    private string PathOf(int file) => Path.Combine(folder, names[file]);

    /// <summary>The hash of what is on disk already, which is read again: it must be what the journal says.</summary>
    private IncrementalHash HashOf(GgufProgress from)
    {
        IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (from.Position == 0)
        {
            return hash;
        }

        using (SafeFileHandle handle = DurableFile.Attempt(PathOf(from.File), () => File.OpenHandle(PathOf(from.File))))
        {
            byte[] part = new byte[HashedBytes];
            for (long position = 0; position < from.Position;)
            {
                int read = DurableFile.Attempt(PathOf(from.File), () => RandomAccess.Read(handle, part.AsSpan(0, (int)Math.Min(part.Length, from.Position - position)), position));
                if (read == 0)
                {
                    break;
                }

                hash.AppendData(part, 0, read);
                position += read;
            }
        }

        return Convert.ToHexStringLower(hash.GetCurrentHash()) == from.Sha256
            ? hash
            : throw new JobException($"{PathOf(from.File)} is not as the journal says. The work folder was changed; start over with --force.");
    }

    private void Encode(IEnumerator<GgufStep> order, CancellationToken token)
    {
        while (Take(order, token) is { } chunk)
        {
            chunk.Encode(steps.Source.Path, outputs[chunk.Step.Row.Output.Name]);
            chunk.Encoded.Set();
        }
    }

    private GgufChunk? Take(IEnumerator<GgufStep> order, CancellationToken token)
    {
        lock (taking)
        {
            if (toWrite.IsAddingCompleted)
            {
                return null;
            }

            if (!order.MoveNext())
            {
                toWrite.CompleteAdding();
                return null;
            }

            GgufChunk chunk = free.Take(token);
            chunk.Begin(order.Current);
            toWrite.Add(chunk, token);
            return chunk;
        }
    }

    private void Write(GgufProgress from, CancellationToken token)
    {
        long done = steps.Layouts.Take(from.File).Sum(layout => layout.Length) + from.Position, total = steps.Layouts.Sum(layout => layout.Length);
        foreach (GgufChunk chunk in toWrite.GetConsumingEnumerable(token))
        {
            GgufStep step = chunk.Step;
            SafeFileHandle handle = open.GetOrAdd(step.File, file => Open(file, file == from.File && from.Position > 0));
            chunk.Encoded.Wait(token);
            DurableFile.Attempt(PathOf(step.File), () => RandomAccess.Write(handle, chunk.Bytes.Span, step.Offset));
            done += step.Bytes;
            toFinish.Add(chunk, token);
            progress?.Report(new JobProgress(done, total, step.Row.Output.Name));
        }

        toFinish.CompleteAdding();
    }

    // Reserving the length makes a full disk show before the work, and fills the gaps between tensors with zeros.
    private SafeFileHandle Open(int file, bool isBegun) => DurableFile.Attempt(PathOf(file), () =>
    {
        GgufLayout layout = steps.Layouts[file];
        if (isBegun)
        {
            return File.OpenHandle(PathOf(file), FileMode.Open, FileAccess.Write, FileShare.Read);
        }

        SafeFileHandle handle = File.OpenHandle(PathOf(file), FileMode.Create, FileAccess.Write, FileShare.Read, FileOptions.None, layout.Length);
        RandomAccess.Write(handle, layout.HeaderBytes.Span, 0);
        RandomAccess.SetLength(handle, layout.Length);
        return handle;
    });

    private void Finish(IncrementalHash hash, GgufProgress from, CancellationToken token)
    {
        long position = from.Position, since = 0;
        QuantizationError error = default;
        List<TensorLoss> losses = [];
        foreach (GgufChunk chunk in toFinish.GetConsumingEnumerable(token))
        {
            GgufStep step = chunk.Step;
            GgufLayout layout = steps.Layouts[step.File];
            if (position == 0)
            {
                hash.AppendData(layout.HeaderBytes.Span);
                position = layout.HeaderBytes.Length;
            }

            position = Gap(hash, position, step.Offset);
            hash.AppendData(chunk.Bytes.Span);
            position += step.Bytes;
            since += step.Values;
            error += chunk.Error;
            free.Add(chunk, token);
            if (!step.EndsTensor)
            {
                continue;
            }

            if (step.Row.IsEncoded)
            {
                losses.Add(new TensorLoss(step.Row.Output.Name, error, null));
            }

            error = default;
            if (!step.EndsFile && since < checkpointValues)
            {
                continue;
            }

            DurableFile.Attempt(PathOf(step.File), () => RandomAccess.FlushToDisk(open[step.File]));
            position = step.EndsFile ? Gap(hash, position, layout.Length) : position;
            journal.Append(new JournalEntry { Shard = new ShardEntry(new FileDigest(names[step.File], position, Convert.ToHexStringLower(hash.GetCurrentHash())), losses, null) });
            (losses, since) = ([], 0);
            if (step.EndsFile)
            {
                hash.GetHashAndReset();
                position = 0;
                if (open.TryRemove(step.File, out SafeFileHandle? handle))
                {
                    handle.Dispose();
                }
            }
        }
    }

    private static long Gap(IncrementalHash hash, long from, long to)
    {
        hash.AppendData(new byte[(int)(to - from)]); // less than an alignment
        return to;
    }
}

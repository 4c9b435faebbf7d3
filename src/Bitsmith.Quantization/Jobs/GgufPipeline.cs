using System.Collections.Concurrent;
using System.Security.Cryptography;
using Bitsmith.Checkpoints.Files;
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
/// Streams tensors into GGUF files through three stages, each on its own threads: encode, gather (hash, and collect into pages), write. A fixed pool of chunks and pages bounds memory;
/// what the encoding threads take, and what is written, follows the order of the file. Now and then the file is flushed, and the journal says how far it is.
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
    private readonly BlockingCollection<GgufChunk> toGather = [];
    private readonly BlockingCollection<FilePage> freePages = [];
    private readonly BlockingCollection<FilePage> toWrite = [];
    private readonly Lock taking = new();

    private readonly long checkpointValues;

    public GgufPipeline(GgufSteps steps, string folder, IReadOnlyList<string> names, Journal journal, long checkpointValues, IProgress<JobProgress>? progress)
    {
        (this.steps, this.folder, this.names, this.journal, this.checkpointValues, this.progress) = (steps, folder, names, journal, checkpointValues, progress);
        outputs = steps.Source.Tensors.ToDictionary(output => output.Info.Name, StringComparer.Ordinal);
    }

    /// <summary>Bytes of memory that the stages take.</summary>
    /// <param name="threads">Encoding threads.</param>
    /// <param name="mostValues">The most values of a step.</param>
    public static long BytesFor(int threads, long mostValues) =>
        (ChunksFor(threads) * GgufChunk.BytesFor(mostValues)) + (threads * GgufEncoder.BytesFor(mostValues)) + (Pages * (long)FilePage.Size);

    // Gathering takes them in order, at times late: encoding threads have enough to go on with until then.
    private static int ChunksFor(int threads) => 8 * threads;

    // As much for filling while a flush takes its time.
    private const int Pages = 6;

    public void Run(GgufProgress from, int threads, CancellationToken cancellationToken)
    {
        if (from.File == names.Count)
        {
            return;
        }

        using IncrementalHash hash = HashOf(from);
        GgufChunk[] pool = [.. Enumerable.Range(0, ChunksFor(threads)).Select(_ => new GgufChunk())];
        Array.ForEach(pool, chunk => free.Add(chunk, CancellationToken.None));
        for (int i = 0; i < Pages; i++)
        {
            freePages.Add(new FilePage(), CancellationToken.None);
        }

        using Stages stages = new(cancellationToken);
        CancellationToken token = stages.Token;
        using IEnumerator<GgufStep> order = steps.From(from.File, from.Position).GetEnumerator();
        for (int i = 0; i < threads; i++)
        {
            stages.Start(() => Encode(order, token));
        }

        stages.Start(() => Gather(hash, from, token));
        stages.Start(() => Write(from, token));
        try
        {
            stages.Wait();
        }
        finally
        {
            Array.ForEach(pool, chunk => chunk.Dispose());
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
        GgufEncoder encoder = new(steps.Source.Path);
        while (Take(order, token) is { } chunk)
        {
            chunk.Encode(encoder, outputs[chunk.Step.Row.Output.Name]);
        }
    }

    private GgufChunk? Take(IEnumerator<GgufStep> order, CancellationToken token)
    {
        lock (taking)
        {
            if (toGather.IsAddingCompleted)
            {
                return null;
            }

            if (!order.MoveNext())
            {
                toGather.CompleteAdding();
                return null;
            }

            GgufChunk chunk = free.Take(token);
            chunk.Begin(order.Current);
            toGather.Add(chunk, token);
            return chunk;
        }
    }

    private void Gather(IncrementalHash hash, GgufProgress from, CancellationToken token)
    {
        PageStream stream = new(freePages, toWrite, hash, from, token);
        long since = 0;
        QuantizationError error = default;
        List<TensorLoss> losses = [];
        foreach (GgufChunk chunk in toGather.GetConsumingEnumerable(token))
        {
            GgufStep step = chunk.Step;
            GgufLayout layout = steps.Layouts[step.File];
            if (stream.Position == 0)
            {
                stream.Append(layout.HeaderBytes.Span, string.Empty);
            }

            chunk.Encoded.Wait(token);
            stream.Fill(step.Offset);
            stream.Append(chunk.Bytes, step.Row.Output.Name);
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

            if (step.EndsFile)
            {
                stream.Fill(layout.Length);
            }

            stream.Checkpoint(digest => new JournalEntry { Shard = new ShardEntry(new FileDigest(names[step.File], stream.Position, digest), losses, null) }, step.EndsFile);
            (losses, since) = ([], 0);
        }

        toWrite.CompleteAdding();
    }

    private void Write(GgufProgress from, CancellationToken token)
    {
        long before = steps.Layouts.Take(from.File).Sum(layout => layout.Length), total = steps.Layouts.Sum(layout => layout.Length);
        DirectFile? file = null;
        try
        {
            foreach (FilePage page in toWrite.GetConsumingEnumerable(token))
            {
                DurableFile.Attempt(PathOf(page.File), () =>
                {
                    file ??= Open(page.File, page.File == from.File && from.Position > 0);
                    file.Write(page.Bytes, page.Offset);
                    if (page.Entry is not null)
                    {
                        file.Flush();
                    }
                });
                if (page.Entry is { } entry)
                {
                    journal.Append(entry);
                }

                progress?.Report(new JobProgress(before + page.Offset + page.Length, total, page.Tensor));
                if (page.EndsFile)
                {
                    before += steps.Layouts[page.File].Length;
                    file!.Dispose();
                    file = null;
                }

                freePages.Add(page, token);
            }
        }
        finally
        {
            file?.Dispose();
        }
    }

    // Reserving the length makes a full disk show before the work.
    private DirectFile Open(int file, bool isBegun) => isBegun ? DirectFile.Open(PathOf(file)) : DirectFile.Create(PathOf(file), steps.Layouts[file].Length);
}

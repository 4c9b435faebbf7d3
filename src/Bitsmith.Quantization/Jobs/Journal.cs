using System.Text;
using System.Text.Json;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>What identifies a job: the same model, recipe, options and version. Paths and times are not part of it.</summary>
/// <param name="Version">The Bitsmith that started it.</param>
/// <param name="Digest">SHA-256 over recipe, options, file names, lengths and headers.</param>
internal sealed record Fingerprint(string Version, string Digest);

/// <summary>One finished step; exactly one of the properties is set.</summary>
internal sealed record JournalEntry
{
    public Fingerprint? Job { get; init; }

    /// <summary>The digest of what calibration made, once all layers are done.</summary>
    public string? Calibration { get; init; }

    /// <summary>A source file that has been read to its end.</summary>
    public SourceEntry? Source { get; init; }

    /// <summary>A weight file of the result that is complete and on disk.</summary>
    public ShardEntry? Shard { get; init; }
}

/// <summary>A source file, hashed.</summary>
/// <param name="Digest">The file.</param>
/// <param name="Modified">Its modification time in ticks (UTC).</param>
internal sealed record SourceEntry(FileDigest Digest, long Modified);

/// <summary>A finished weight file; of a GGUF file, as many of its tensors as are on disk.</summary>
/// <param name="Digest">The file; of a GGUF file, its first bytes.</param>
/// <param name="Tensors">The loss of its encoded tensors, in order.</param>
/// <param name="Prefix">How far the source file at work had been read and hashed by then; null where its hash is known whole.</param>
internal sealed record ShardEntry(FileDigest Digest, IReadOnlyList<TensorLoss> Tensors, SourcePrefix? Prefix);

/// <summary>The loss of an encoded tensor.</summary>
internal sealed record TensorLoss(string Name, QuantizationError Error, QuantizationError? Library);

/// <summary>The hash of the first bytes of a source file.</summary>
internal sealed record SourcePrefix(string File, long Bytes, string Sha256);

/// <summary>
/// The finished steps of a job, one JSON line each, flushed to disk before the next begins. A line cut off by a crash is dropped.
/// The open file is also the lock: a second process cannot open it.
/// </summary>
internal sealed class Journal : IDisposable
{
    private readonly FileStream file;
    private readonly List<JournalEntry> entries;
    private readonly Lock writing = new();

    private Journal(FileStream file, List<JournalEntry> entries)
    {
        this.file = file;
        this.entries = entries;
    }

    public Fingerprint? Job => entries.Select(entry => entry.Job).FirstOrDefault(job => job is not null);

    public IReadOnlyList<ShardEntry> Shards
    {
        get
        {
            lock (writing)
            {
                return [.. entries.Select(entry => entry.Shard).OfType<ShardEntry>()];
            }
        }
    }

    public IReadOnlyList<SourceEntry> Sources
    {
        get
        {
            lock (writing)
            {
                return [.. entries.Select(entry => entry.Source).OfType<SourceEntry>()];
            }
        }
    }

    /// <summary>Opens or creates a journal.</summary>
    /// <exception cref="JobException">Another process has it open.</exception>
    public static Journal Open(string path)
    {
        FileStream file;
        try
        {
            // Unbuffered: a write that fails must not be tried again, and fail again, when the file is closed.
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException problem) when (File.Exists(path))
        {
            throw new JobException($"{path} is in use: another bitsmith is working on this output. Wait for it, or stop it first.", problem);
        }

        byte[] content = new byte[file.Length];
        file.ReadExactly(content);
        List<JournalEntry> entries = [];
        int start = 0, end;
        while ((end = Array.IndexOf(content, (byte)'\n', start)) >= 0 && Parse(content.AsSpan(start, end - start)) is { } entry)
        {
            entries.Add(entry);
            start = end + 1;
        }

        file.SetLength(start);
        file.Position = start;
        return new Journal(file, entries);
    }

    /// <summary>Notes which job this is, or checks that it is the one that was begun.</summary>
    /// <param name="job">The job at hand.</param>
    /// <param name="output">Names it in errors.</param>
    /// <exception cref="RequestException">It is another.</exception>
    public void Continue(Fingerprint job, string output)
    {
        if (Job is not { } begun)
        {
            Append(new JournalEntry { Job = job });
        }
        else if (begun != job)
        {
            string what = begun.Version == job.Version ? "model, recipe or options" : $"Bitsmith version ({begun.Version} then, {job.Version} now)";
            throw new RequestException($"the interrupted job for {output} was another one: different {what}. Start over with --force, or repeat the command as it was.");
        }
    }

    /// <summary>Notes what calibration made, or checks that it is what the job had before it was interrupted.</summary>
    /// <exception cref="JobException">It is another.</exception>
    public void Continue(string calibration)
    {
        string? begun = entries.Select(entry => entry.Calibration).FirstOrDefault(digest => digest is not null);
        if (begun is null)
        {
            Append(new JournalEntry { Calibration = calibration });
        }
        else if (begun != calibration)
        {
            throw new JobException($"{file.Name}: calibration gave other results than before the interruption. The work folder was changed; start over with --force.");
        }
    }

    public void Append(JournalEntry entry)
    {
        lock (writing)
        {
            DurableFile.Attempt(file.Name, () =>
            {
                file.Write(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(entry, JournalJson.Default.JournalEntry) + "\n"));
                file.Flush(flushToDisk: true);
            });
            entries.Add(entry);
        }
    }

    public void Dispose() => file.Dispose();

    private static JournalEntry? Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, JournalJson.Default.JournalEntry);
        }
        catch (JsonException)
        {
            return null; // the tail of an interrupted write: that step is simply not finished
        }
    }
}

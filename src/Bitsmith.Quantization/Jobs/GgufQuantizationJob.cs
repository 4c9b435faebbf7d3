using System.Security.Cryptography;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// Quantizes a model into a GGUF file, from a Hugging Face folder or another GGUF file. Everything that can be wrong beforehand is checked before the first byte is written; the
/// result appears under its name only when it is complete and has been read back; an interrupted job goes on with <see cref="GgufJobOptions.Resume"/> to the same bytes.
/// </summary>
public sealed class GgufQuantizationJob : IDisposable
{
    // A source is known again by the ends of its files and by so many places between them.
    private const int Samples = 256, SampleBytes = 4096;

    private readonly GgufJobOptions options;
    private readonly GgufSource source;
    private readonly GgufSteps steps;
    private readonly IReadOnlyList<string> names;
    private readonly FileDigest? imatrix;

    private GgufQuantizationJob(GgufJobOptions options, GgufSource source)
    {
        (this.options, this.source) = (options, source);
        ImportanceMatrix? importance = options.Imatrix is null ? null : ImportanceMatrix.Load(options.Imatrix);
        imatrix = options.Imatrix is null ? null : FileHash.Compute(options.Imatrix);
        Plan = GgufPlanner.Create(source, importance, options);
        IReadOnlyList<(string Path, GgufLayout Layout)> files = GgufWriter.Layouts(options.Output, Plan.Metadata, [.. Plan.Rows.Select(row => row.Output)], options.MaxFileBytes);
        names = [.. files.Select(file => Path.GetFileName(file.Path))];
        steps = new GgufSteps(source, Plan, [.. files.Select(file => file.Layout)], importance);
        Estimate = ResourceEstimate.Predict(steps, imatrix?.Bytes ?? 0, options.Threads);
    }

    /// <summary>What will be done.</summary>
    public GgufPlan Plan { get; }

    /// <summary>What it needs; the time only after <see cref="MeasureTime"/>.</summary>
    public ResourceEstimate Estimate { get; private set; }

    /// <summary>Bytes of all files of the result.</summary>
    public long FileBytes => steps.Layouts.Sum(layout => layout.Length);

    /// <summary>Opens the source and plans; writes nothing.</summary>
    /// <param name="options">What to do.</param>
    /// <exception cref="CheckpointException">The source or the importance matrix is broken, or they do not belong together.</exception>
    /// <exception cref="RequestException">The mix or an option does not suit the model.</exception>
    public static GgufQuantizationJob Prepare(GgufJobOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        GgufSource source = GgufSource.Open(options.Model);
        try
        {
            return new GgufQuantizationJob(options, source);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Refuses a result, or an interrupted job, that is in the way.</summary>
    /// <param name="options">What to do.</param>
    /// <exception cref="RequestException">One is.</exception>
    public static void CheckPlace(GgufJobOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        new WorkFolder(options.Output, [Path.GetFileName(options.Output)]).CheckPlace(options.Force, options.Resume);
    }

    /// <summary>Encodes a few rows to each type for a moment, and adds to <see cref="Estimate"/> how long the job will take by that.</summary>
    /// <param name="clock">The clock.</param>
    /// <exception cref="CheckpointException">One of these rows holds a weight that is no number.</exception>
    /// <exception cref="JobException">One of these rows holds a weight that does not fit its type.</exception>
    public void MeasureTime(TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        Estimate = Estimate with { Seconds = EncodingTime.Estimate(steps, options.Threads, clock) };
    }

    /// <summary>Does the work.</summary>
    /// <param name="progress">Told after each write; called from another thread.</param>
    /// <param name="cancellationToken">Stops the job; it can be resumed.</param>
    /// <returns>The manifest of the result.</returns>
    /// <exception cref="RequestException">The output exists, is the source, or belongs to another job.</exception>
    /// <exception cref="JobException">No space, no permission, another process at work, or a weight that does not fit its type.</exception>
    /// <exception cref="CheckpointException">The source turned out broken.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public GgufManifest Run(IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        CheckRequest();
        string manifestPath = GgufManifest.PathFor(options.Output);
        WorkFolder work = new(options.Output, [.. names, Path.GetFileName(manifestPath)]);
        if (!work.Begin(options.Force, options.Resume, Estimate.DiskBytes))
        {
            return ManifestFile.LoadGguf(manifestPath);
        }

        using (Journal journal = Journal.Open(work.JournalPath))
        {
            if (!work.IsPublishing)
            {
                journal.Continue(new Fingerprint(QuantizationJob.Version, Digest()), options.Output);
                new GgufPipeline(steps, work.Output, names, journal, options.CheckpointValues, progress).Run(Finished(journal, work.Output), options.Threads, cancellationToken);
                ReadBack(work.Output);
                DurableFile.WriteAtomically(Path.Combine(work.Output, Path.GetFileName(manifestPath)), ManifestFile.Write(Describe(journal)));
            }

            work.Publish(journal);
        }

        return ManifestFile.LoadGguf(manifestPath);
    }

    /// <inheritdoc/>
    public void Dispose() => source.Dispose();

    private void CheckRequest()
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(options.Output))!;
        if (names.FirstOrDefault(name => source.Files.Any(file => Path.GetFullPath(file.Path) == Path.Combine(folder, name))) is { } same)
        {
            throw new RequestException($"{Path.Combine(folder, same)} is the source itself. Write to another name.");
        }

        if (Directory.Exists(options.Output))
        {
            throw new RequestException($"{options.Output} is a folder; a GGUF result is a file.");
        }

        Estimate.CheckMemory(options.MaxMemoryBytes, options.Threads);
    }

    /// <summary>The job's identity: the headers to be written tell model, mix and options; types, importance and sizes are in them or added.</summary>
    private string Digest()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (GgufLayout layout in steps.Layouts)
        {
            hash.AppendData(layout.HeaderBytes.Span);
        }

        hash.AppendData(Encoding.UTF8.GetBytes($"{imatrix?.Sha256}\n"));
        byte[] sample = new byte[SampleBytes];
        foreach (SourceFile file in source.Files)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(file.Path)} {file.Length}\n"));
            using FileStream stream = File.OpenRead(file.Path);
            for (int i = 0; i <= Samples; i++)
            {
                stream.Position = Math.Max(0, file.Length - SampleBytes) / Samples * i;
                hash.AppendData(sample.AsSpan(0, stream.ReadAtLeast(sample, sample.Length, throwOnEndOfStream: false)));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private GgufProgress Finished(Journal journal, string output)
    {
        int file = 0;
        GgufProgress done = new(0, 0, string.Empty);
        foreach (ShardEntry entry in journal.Shards)
        {
            FileInfo found = new(Path.Combine(output, names[Math.Min(file, names.Count - 1)]));
            if (entry.Digest.File != found.Name || !found.Exists || found.Length != steps.Layouts[file].Length)
            {
                throw new JobException($"{found.FullName} is not as the journal says. The work folder was changed; start over with --force.");
            }

            bool isWhole = entry.Digest.Bytes == steps.Layouts[file].Length;
            done = isWhole ? new GgufProgress(++file, 0, string.Empty) : new GgufProgress(file, entry.Digest.Bytes, entry.Digest.Sha256);
        }

        return done;
    }

    /// <summary>Opens what was written as a client would and compares it with the plan.</summary>
    private void ReadBack(string output)
    {
        using GgufModel written = GgufModel.Open(Path.Combine(output, names[0]));
        string[] found = [.. written.Tensors.Select(tensor => $"'{tensor.Name}' {tensor.Describe()}")], planned = [.. Plan.Rows.Select(row => $"'{row.Output.Name}' {row.Output.Describe()}")];
        int other = found.Zip(planned).TakeWhile(pair => pair.First == pair.Second).Count();
        if (other < Math.Max(found.Length, planned.Length))
        {
            throw new JobException($"{output}: tensor {other} reads back as {found.ElementAtOrDefault(other) ?? "missing"}, planned was {planned.ElementAtOrDefault(other) ?? "none"}. This is a bug in Bitsmith or a failing disk.");
        }
    }

    private GgufManifest Describe(Journal journal)
    {
        Dictionary<string, GgufPlanRow> rows = Plan.Rows.ToDictionary(row => row.Output.Name, StringComparer.Ordinal);
        TensorLoss[] losses = [.. journal.Shards.SelectMany(shard => shard.Tensors)];
        TensorReport overall = TensorReport.Create(string.Empty, string.Empty, 0, losses.Aggregate(default(QuantizationError), (sum, loss) => sum + loss.Error), null);
        return new GgufManifest
        {
            Format = GgufManifest.CurrentFormat,
            Version = QuantizationJob.Version,
            Architecture = Plan.Architecture,
            Recipe = new GgufRecipe(
                Plan.Mix.Name, [.. options.MixOptions.Overrides.Select(entry => entry.Text)], options.MixOptions.Pure,
                options.MixOptions.OutputType?.ToString(), options.MixOptions.EmbeddingType?.ToString(), imatrix, options.MaxFileBytes,
                options.Allocation is { } plan ? new GgufAllocation(plan.Target, plan.Method, [.. plan.Tensors.Select(tensor => $"{tensor.Name}={tensor.Type}")]) : null),
            Totals = new GgufTotals(Plan.Rows.Count, Plan.EncodedTensors, Plan.BytesBefore, Plan.BytesAfter, Plan.BitsPerWeight, overall.RelativeRmse, overall.SnrDb),
            Warnings = Plan.Warnings,
            Source = [.. source.Files.Select(file => new SourceLength(Path.GetFileName(file.Path), file.Length))],
            Output = [.. journal.Shards.Where((shard, i) => i == journal.Shards.Count - 1 || journal.Shards[i + 1].Digest.File != shard.Digest.File).Select(shard => shard.Digest)],
            Tensors = [.. losses.Select(loss => TensorReport.Create(loss.Name, rows[loss.Name].Output.Type.Name, rows[loss.Name].Output.Bytes, loss.Error, null))],
            Digest = string.Empty,
        };
    }
}

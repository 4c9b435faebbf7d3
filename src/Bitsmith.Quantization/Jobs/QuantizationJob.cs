using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// Quantizes a checkpoint into a new folder. Everything that can be wrong beforehand is checked before the first byte is written; the result appears under its
/// name only when it is complete and has been read back; an interrupted job goes on with <see cref="JobOptions.Resume"/> to the same bytes.
/// </summary>
public sealed class QuantizationJob : IDisposable
{
    private readonly JobOptions options;
    private readonly CheckpointFolder source;
    private readonly IReadOnlyList<string> sideFiles;
    private CalibrationRun? calibration;
    private string? calibrationFolder;

    private QuantizationJob(
        JobOptions options, CheckpointFolder source, QuantizationPlan plan, IReadOnlyList<string> sideFiles, IReadOnlyList<string> leftOut, ResourceEstimate estimate)
    {
        this.options = options;
        this.source = source;
        this.sideFiles = sideFiles;
        Plan = plan;
        LeftOut = leftOut;
        Estimate = estimate;
    }

    /// <summary>The Bitsmith that works here: version and commit.</summary>
    public static string Version { get; } =
        typeof(QuantizationJob).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>What will be done.</summary>
    public QuantizationPlan Plan { get; }

    /// <summary>What it needs.</summary>
    public ResourceEstimate Estimate { get; private set; }

    /// <summary>Files of the source that are not carried over: weights in other formats.</summary>
    public IReadOnlyList<string> LeftOut { get; }

    /// <summary>What calibration will see; null without.</summary>
    public CalibrationData? Samples => calibration?.Data;

    /// <summary>Opens the source and plans, and reads the samples of a calibration; writes nothing.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="cancellationToken">Stops reading samples.</param>
    /// <exception cref="Checkpoints.CheckpointException">The source is broken.</exception>
    /// <exception cref="RecipeException">The recipe does not fit.</exception>
    /// <exception cref="RequestException">The source is already quantized, or a calibration is missing or cannot be as it is asked for.</exception>
    public static QuantizationJob Prepare(JobOptions options, CancellationToken cancellationToken = default)
    {
        QuantizationJob job = PlanOf(options);
        try
        {
            job.calibration = OpenCalibration([job], cancellationToken);
            if (job.calibration is not null)
            {
                job.Estimate = job.Estimate.With(job.calibration.Needs, [job.Plan], ResourceEstimate.CalibrationBytes([job.Plan], options.Model));
            }

            return job;
        }
        catch
        {
            job.Dispose();
            throw;
        }
    }

    /// <summary>Opens the source and plans; what calibration needs is not looked at yet.</summary>
    internal static QuantizationJob PlanOf(JobOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        CheckpointFolder source = CheckpointFolder.Open(options.Model);
        try
        {
            if (source.Config.IsQuantized)
            {
                throw new RequestException($"{options.Model} is already quantized (config.json has a quantization_config). Quantize the original model instead.");
            }

            ModuleTree modules = ModuleTree.Build(source.Config, source.Tensors, options.Model);
            QuantizationPlan plan = Planner.Create(
                modules, source.Tensors, options.Recipe, new PlanOptions(options.AllowUnmatched, options.Fix), options.Model);
            RequireCalibration(plan, options);
            (IReadOnlyList<string> carried, IReadOnlyList<string> leftOut) = SideFiles.List(source);
            carried = [.. carried.Where(file => file != Manifest.FileName)];
            long sideBytes = carried.Sum(file => new FileInfo(Path.Combine(options.Model, file)).Length);
            return new QuantizationJob(options, source, plan, carried, leftOut, ResourceEstimate.Predict(plan, sideBytes, options.MaxShardBytes, options.Threads));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Opens the one calibration of jobs that differ in their plans alone; null where there is none.</summary>
    internal static CalibrationRun? OpenCalibration(IReadOnlyList<QuantizationJob> jobs, CancellationToken cancellationToken)
    {
        JobOptions options = jobs[0].options;
        if (options.Calibration is not { } wanted)
        {
            return null;
        }

        QuantizationPlan[] plans = [.. jobs.Select(job => job.Plan)];
        ResourceEstimate estimate = jobs[0].Estimate;
        long fixedBytes = ResourceEstimate.CalibrationBytes(plans, options.Model);
        (estimate with { PeakMemoryBytes = Math.Max(estimate.PeakMemoryBytes, fixedBytes) }).CheckMemory(options.MaxMemoryBytes, options.Threads);
        return CalibrationRun.Open(options.Model, plans, wanted, options.Threads, options.MaxMemoryBytes - fixedBytes, cancellationToken);
    }

    /// <summary>Takes part in a calibration that works in a folder of its own and belongs to somebody else.</summary>
    internal void Share(CalibrationRun run, string folder) => (calibration, calibrationFolder) = (run, folder);

    /// <summary>Does the work.</summary>
    /// <param name="progress">Told after each read; called from another thread.</param>
    /// <param name="cancellationToken">Stops the job; it can be resumed.</param>
    /// <returns>The manifest of the result.</returns>
    public Manifest Run(IProgress<JobProgress>? progress, CancellationToken cancellationToken) => Run(progress, null, cancellationToken);

    /// <summary>Does the work.</summary>
    /// <param name="progress">Told after each read; called from another thread.</param>
    /// <param name="calibrationProgress">Told after each batch of calibration samples, which comes first.</param>
    /// <param name="cancellationToken">Stops the job; it can be resumed.</param>
    /// <returns>The manifest of the result.</returns>
    /// <exception cref="RequestException">The output exists, lies in the source, or belongs to another job.</exception>
    /// <exception cref="JobException">No space, no permission, or another process at work.</exception>
    /// <exception cref="Checkpoints.CheckpointException">The source turned out broken or changed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Manifest Run(IProgress<JobProgress>? progress, IProgress<CalibrationProgress>? calibrationProgress, CancellationToken cancellationToken)
    {
        CheckPlaces(options.Model, options.Output);
        Estimate.CheckMemory(options.MaxMemoryBytes, options.Threads);
        WorkFolder work = new(options.Output);
        if (!work.Begin(options.Force, options.Resume, Estimate.DiskBytes))
        {
            return ManifestFile.Load(Path.Combine(options.Output, Manifest.FileName));
        }

        using (Journal journal = Journal.Open(work.JournalPath))
        {
            journal.Continue(Fingerprint(), options.Output);
            CheckFinishedSources(journal);
            IReadOnlyList<Shard<PlanRow>> shards = Plan.Shards(options.MaxShardBytes);
            int finished = FinishedShards(journal, shards, work.Output);
            Manifest manifest;
            using (CalibratedWeights? calibrated = calibration?.Run(calibrationFolder ?? work.Calibration, Plan, calibrationProgress, cancellationToken))
            {
                if (calibrated is not null)
                {
                    journal.Continue(calibrated.Digest);
                }

                WeightRanges ranges = MeasureRanges(shards, finished, calibrated, cancellationToken);
                ReadSchedule schedule = new(
                    source.Files, shards, finished, journal.Sources.Select(entry => entry.Digest.File).ToHashSet(StringComparer.Ordinal));
                new TensorPipeline(schedule, work.Output, options.Encoder, ranges, calibrated, journal, progress).Run(options.Threads, cancellationToken);
                manifest = Finish(work.Output, journal, shards, calibrated, cancellationToken);
            }

            work.Publish(journal);
            return manifest;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (calibrationFolder is null)
        {
            calibration?.Dispose();
        }

        source.Dispose();
    }

    /// <summary>Quantized inputs need a global scale, which only calibration can tell, of Linears that it goes through.</summary>
    private static void RequireCalibration(QuantizationPlan plan, JobOptions options)
    {
        if (options.Recipe.Method is { } method and not CalibrationMethod.Rtn && options.Calibration is null)
        {
            throw new RequestException($"{options.Recipe.Source} fits weights by {CalibrationMethods.NameOf(method)}, which needs calibration samples. Give them with --calibration.");
        }

        PlanRow[] needing = [.. plan.Rows.Where(row => row.Group?.Storage.HasInputGlobalScale == true)];
        if (needing.Length > 0 && options.Calibration is null)
        {
            throw new RequestException(
                $"{options.Recipe.Source} quantizes the inputs of {needing.Length} Linears ({needing[0].Module.Name}, ...) to NVFP4 with a scale that follows from their range, which only calibration samples tell. Give samples with --calibration, or use nvfp4a16, which leaves inputs exact.");
        }

        if (Array.Find(needing, row => LinearName.LayerOf(row.Module.Name) is null || row.Module.Part != ModelPart.Decoder) is { } unseen)
        {
            throw new RequestException($"{options.Recipe.Source} quantizes the inputs of '{unseen.Module.Name}' to NVFP4, but calibration goes through the decoder's layers alone. Ignore it, or give it a scheme that leaves inputs exact.");
        }
    }

    /// <summary>Reads what is still to be encoded with a global scale, and whatever shares it.</summary>
    private WeightRanges MeasureRanges(IReadOnlyList<Shard<PlanRow>> shards, int finished, CalibratedWeights? calibrated, CancellationToken cancellationToken)
    {
        HashSet<string> wanted = [.. shards.Skip(finished).SelectMany(shard => shard.Units).Where(row => calibrated?.Holds(row) != true).Select(row => row.Fusion).OfType<string>()];
        return WeightRanges.Measure(source.Files, Plan.Rows.Where(row => row.Fusion is { } fusion && wanted.Contains(fusion)), options.Threads, cancellationToken);
    }

    /// <summary>Refuses an output that lies in the source or around it, or is a file.</summary>
    internal static void CheckPlaces(string model, string output)
    {
        string from = Resolve(model), to = Resolve(output);
        if ((to + '/').StartsWith(from + '/', StringComparison.Ordinal) || (from + '/').StartsWith(to + '/', StringComparison.Ordinal))
        {
            throw new RequestException($"the output {output} and the source {model} lie in one another. Write to a folder beside the source.");
        }

        if (File.Exists(output))
        {
            throw new RequestException($"{output} is a file; the output is a folder.");
        }
    }

    // Symbolic links must not hide that two paths are one.
    private static string Resolve(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        return Directory.Exists(full) ? Directory.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full : full;
    }

    /// <summary>What tells the job from others.</summary>
    internal Fingerprint Fingerprint()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(options.Recipe, JobJson.Default.Recipe));
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(Options(), JobJson.Default.ManifestOptions));
        Add($"{calibration?.Fingerprint}\n");

        hash.AppendData(source.Config.Text.Utf8);
        foreach (SafetensorsFile file in source.Files)
        {
            Add($"{Path.GetFileName(file.Path)} {file.Length}\n");
            byte[] header = new byte[file.Header.Bytes];
            file.Read(0, header);
            hash.AppendData(header);
        }

        foreach (string file in sideFiles)
        {
            Add($"{file} {new FileInfo(Path.Combine(options.Model, file)).Length}\n");
        }

        return new Fingerprint(Version, Convert.ToHexStringLower(hash.GetHashAndReset()));

        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text));
    }

    /// <summary>A source file that was read to its end before the interruption must still be the same; its hash is taken again only if its time has changed.</summary>
    private void CheckFinishedSources(Journal journal)
    {
        foreach (SourceEntry entry in journal.Sources)
        {
            string path = Path.Combine(options.Model, entry.Digest.File);
            if (File.GetLastWriteTimeUtc(path).Ticks != entry.Modified && FileHash.Compute(path).Sha256 != entry.Digest.Sha256)
            {
                throw new RequestException($"{path} has changed since the job was interrupted. Start over with --force, or restore the file.");
            }
        }
    }

    private static int FinishedShards(Journal journal, IReadOnlyList<Shard<PlanRow>> shards, string output)
    {
        IReadOnlyList<ShardEntry> finished = journal.Shards;
        for (int i = 0; i < finished.Count; i++)
        {
            FileInfo file = new(Path.Combine(output, shards[i].FileName));
            if (finished[i].Digest.File != shards[i].FileName || !file.Exists || file.Length != finished[i].Digest.Bytes)
            {
                throw new JobException($"{file.FullName} is not as the journal says. The work folder was changed; start over with --force.");
            }
        }

        return finished.Count;
    }

    private Manifest Finish(string output, Journal journal, IReadOnlyList<Shard<PlanRow>> shards, CalibratedWeights? calibrated, CancellationToken cancellationToken)
    {
        List<FileDigest> from = [.. journal.Sources.Select(entry => entry.Digest)];
        foreach (string file in sideFiles)
        {
            cancellationToken.ThrowIfCancellationRequested();
            from.Add(CopySideFile(file, Path.Combine(output, file)));
        }

        if (source.Files.FirstOrDefault(file => new FileInfo(file.Path).Length != file.Length) is { } changed)
        {
            throw new Checkpoints.CheckpointException(changed.Path, "changed its length while it was being read. Restore it and start over with --force.");
        }

        JsonText config = source.Config.Text.With([QuantizationConfig.Key], Plan.Config.ToJson());
        DurableFile.WriteAtomically(Path.Combine(output, ModelConfig.FileName), config.Utf8);
        if (shards.Count > 1)
        {
            DurableFile.WriteAtomically(Path.Combine(output, Sharding.IndexFileName), Sharding.WriteIndex(
                shards.SelectMany(shard => shard.Units.SelectMany(row => row.Outputs).Select(tensor => (tensor.Name, shard.FileName))), Plan.BytesAfter));
        }

        (IReadOnlyList<CheckResult> checks, _) = PackageInspector.Inspect(output, options.Fix);
        ReadBack(output);
        Manifest manifest = Describe(journal, calibrated, from, Digests(output, journal), checks);
        DurableFile.WriteAtomically(Path.Combine(output, Manifest.FileName), ManifestFile.Write(manifest));
        return ManifestFile.Load(Path.Combine(output, Manifest.FileName));
    }

    private FileDigest CopySideFile(string file, string target)
    {
        byte[] content;
        try
        {
            content = File.ReadAllBytes(Path.Combine(options.Model, file));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new Checkpoints.CheckpointException(Path.Combine(options.Model, file), $"cannot be read: {problem.Message}", problem);
        }

        DurableFile.Attempt(target, () => Directory.CreateDirectory(Path.GetDirectoryName(target)!));
        DurableFile.WriteAtomically(target, content);
        return new FileDigest(file, content.Length, Convert.ToHexStringLower(SHA256.HashData(content)));
    }

    /// <summary>Opens what was written as a client would and compares it with the plan.</summary>
    private void ReadBack(string output)
    {
        using CheckpointFolder written = CheckpointFolder.Open(output);
        Dictionary<string, string> found = written.Tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Describe());
        foreach (TensorInfo tensor in Plan.Rows.SelectMany(row => row.Outputs))
        {
            if (!found.Remove(tensor.Name, out string? description) || description != tensor.Describe())
            {
                throw new JobException($"{output}: '{tensor.Name}' reads back as {description ?? "missing"}, planned was {tensor.Describe()}. This is a bug in Bitsmith or a failing disk.");
            }
        }

        if (found.Count > 0)
        {
            throw new JobException($"{output}: '{found.Keys.First()}' reads back although it was not planned. This is a bug in Bitsmith.");
        }
    }

    private static List<FileDigest> Digests(string output, Journal journal)
    {
        Dictionary<string, FileDigest> known = journal.Shards.ToDictionary(shard => shard.Digest.File, shard => shard.Digest);
        return [.. Directory.EnumerateFiles(output, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(output, file).Replace('\\', '/'))
            .Where(file => file != Manifest.FileName)
            .Order(StringComparer.Ordinal)
            .Select(file => known.GetValueOrDefault(file) ?? FileHash.Compute(Path.Combine(output, file)) with { File = file })];
    }

    private ManifestOptions Options() => new(options.Encoder, options.MaxShardBytes, options.Fix, options.AllowUnmatched);

    private Manifest Describe(Journal journal, CalibratedWeights? calibrated, List<FileDigest> from, List<FileDigest> to, IReadOnlyList<CheckResult> checks)
    {
        Dictionary<string, PlanRow> rows = Plan.Rows.Where(row => row.IsEncoded).ToDictionary(row => row.Source.Name);
        List<TensorLoss> losses = [.. journal.Shards.SelectMany(shard => shard.Tensors)];
        QuantizationError total = losses.Aggregate(default(QuantizationError), (sum, loss) => sum + loss.Error);
        TensorLoss[] compared = [.. losses.Where(loss => loss.Library is not null)];
        double? gain = compared.Length == 0 ? null : TensorReport.Gain(
            compared.Aggregate(default(QuantizationError), (sum, loss) => sum + loss.Error), compared.Aggregate(default(QuantizationError), (sum, loss) => sum + loss.Library!.Value));
        TensorReport overall = TensorReport.Create(string.Empty, string.Empty, 0, total, null);
        return new Manifest
        {
            Format = Manifest.CurrentFormat,
            Version = Version,
            ModelType = source.Config.ModelType,
            Recipe = options.Recipe,
            Options = Options(),
            Calibration = calibrated is null ? null : calibration!.Describe(Plan, calibrated),
            Totals = new ManifestTotals(
                Plan.Rows.Count, Plan.EncodedModules, Plan.BytesBefore, Plan.BytesAfter, overall.RelativeRmse, overall.SnrDb, gain),
            Checks = checks,
            Warnings = Plan.Warnings,
            LeftOut = LeftOut,
            Source = [.. from.OrderBy(file => file.File, StringComparer.Ordinal)],
            Output = to,
            Tensors = [.. losses.Select(loss => TensorReport.Create(
                loss.Name, rows[loss.Name].Group!.Storage.ToString(), rows[loss.Name].BytesAfter, loss.Error, loss.Library) with { Outputs = OutputsOf(rows[loss.Name]) })],
            Digest = string.Empty,
        };

        OutputReport? OutputsOf(PlanRow row) =>
            calibrated?.Holds(row) == true ? calibrated.LossOf(row.Source.Name) is { } loss ? new OutputReport(loss.RelativeError, loss.GainDb) : new OutputReport(null, null) : null;
    }
}

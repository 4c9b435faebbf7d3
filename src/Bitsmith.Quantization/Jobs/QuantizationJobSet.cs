using System.Security.Cryptography;
using System.Text;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;

namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// Quantizes a checkpoint into several folders that differ in the group size of their 4-bit integers, from one pass over the calibration samples. The folders stand in one, each under the name of its scheme and group size,
/// and appear together when all are complete; each holds the bytes that a job of its own writes. An interrupted set goes on with <see cref="JobOptions.Resume"/>.
/// </summary>
public sealed class QuantizationJobSet : IDisposable
{
    private readonly JobOptions options;
    private readonly IReadOnlyList<(string Name, QuantizationJob Job)> members;
    private readonly WorkFolder work;
    private CalibrationRun? calibration;

    private QuantizationJobSet(JobOptions options, IReadOnlyList<(string Name, QuantizationJob Job)> members, WorkFolder work)
    {
        (this.options, this.members, this.work) = (options, members, work);
        ResourceEstimate first = members[0].Job.Estimate;
        Estimate = first with
        {
            PeakMemoryBytes = members.Max(member => member.Job.Estimate.PeakMemoryBytes),
            DiskBytes = members.Sum(member => member.Job.Estimate.DiskBytes),
            ReadBytes = members.Sum(member => member.Job.Estimate.ReadBytes),
            Shards = members.Sum(member => member.Job.Estimate.Shards),
        };
    }

    /// <summary>What it needs.</summary>
    public ResourceEstimate Estimate { get; private set; }

    /// <summary>The jobs, by the names of their folders.</summary>
    public IReadOnlyList<(string Name, QuantizationJob Job)> Members => members;

    /// <summary>What calibration will see; null without.</summary>
    public CalibrationData? Samples => calibration?.Data;

    /// <summary>Opens the source and plans, and reads the samples of a calibration; writes nothing.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="groupSizes">The group sizes.</param>
    /// <param name="cancellationToken">Stops reading samples.</param>
    /// <exception cref="Checkpoints.CheckpointException">The source is broken.</exception>
    /// <exception cref="RecipeException">The recipe does not fit, or has no weights with such groups.</exception>
    /// <exception cref="RequestException">The source is already quantized, sizes repeat, a calibration is missing or cannot be as it is asked for, or hands on what the quantized layers compute, which are not the same for all.</exception>
    public static QuantizationJobSet Prepare(JobOptions options, IReadOnlyList<int> groupSizes, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(groupSizes);
        if (groupSizes.Distinct().Count() < groupSizes.Count)
        {
            throw new RequestException($"the group sizes {string.Join(", ", groupSizes)} name one twice.");
        }

        if (options.Calibration?.Propagation == Propagation.Quantized)
        {
            throw new RequestException("several group sizes share a pass over the samples, in which layers see what the original ones compute. Take --propagate original, or quantize with one group size at a time.");
        }

        WorkFolder work = new(options.Output);
        List<(string Name, QuantizationJob Job)> members = [];
        QuantizationJobSet? set = null;
        try
        {
            foreach (int size in groupSizes)
            {
                Recipe recipe = Presets.WithGroupSize(options.Recipe, size);
                string name = $"{Path.GetFileNameWithoutExtension(recipe.Source).ToUpperInvariant().Replace('-', '_')}_GS{size}";
                members.Add((name, QuantizationJob.PlanOf(options with { Recipe = recipe, Output = Path.Combine(work.Output, name), Resume = true, Force = false })));
            }

            set = new QuantizationJobSet(options, members, work);
            set.calibration = QuantizationJob.OpenCalibration([.. members.Select(member => member.Job)], cancellationToken);
            if (set.calibration is { } calibration)
            {
                QuantizationPlan[] plans = [.. members.Select(member => member.Job.Plan)];
                set.Estimate = set.Estimate.With(calibration.Needs, plans, ResourceEstimate.CalibrationBytes(plans, options.Model));
                members.ForEach(member => member.Job.Share(calibration, work.Calibration));
            }

            return set;
        }
        catch
        {
            set?.calibration?.Dispose();
            members.ForEach(member => member.Job.Dispose());
            throw;
        }
    }

    /// <summary>Does the work.</summary>
    /// <param name="progress">Told after each read; called from another thread.</param>
    /// <param name="calibrationProgress">Told after each batch of calibration samples, which comes first.</param>
    /// <param name="cancellationToken">Stops it; it can be resumed.</param>
    /// <returns>The manifests of the results, in order.</returns>
    /// <exception cref="RequestException">The output exists, lies in the source, or belongs to another job.</exception>
    /// <exception cref="JobException">No space, no permission, or another process at work.</exception>
    /// <exception cref="Checkpoints.CheckpointException">The source turned out broken or changed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Manifest> Run(IProgress<JobProgress>? progress, IProgress<CalibrationProgress>? calibrationProgress, CancellationToken cancellationToken)
    {
        QuantizationJob.CheckPlaces(options.Model, options.Output);
        Estimate.CheckMemory(options.MaxMemoryBytes, options.Threads);
        if (work.Begin(options.Force, options.Resume, Estimate.DiskBytes))
        {
            using Journal journal = Journal.Open(work.JournalPath);
            journal.Continue(Fingerprint(), options.Output);
            foreach (((string name, QuantizationJob job), int index) in members.Select((member, index) => (member, index)))
            {
                if (!WorkFolder.IsDone(Path.Combine(work.Output, name)))
                {
                    job.Run(progress is null ? null : new Part(progress, index, members.Count), calibrationProgress, cancellationToken);
                }
            }

            work.Publish(journal);
        }

        return [.. members.Select(member => ManifestFile.Load(Path.Combine(options.Output, member.Name, Manifest.FileName)))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        calibration?.Dispose();
        foreach ((_, QuantizationJob job) in members)
        {
            job.Dispose();
        }
    }

    private Fingerprint Fingerprint()
    {
        string all = string.Join('\n', members.Select(member => $"{member.Name} {member.Job.Fingerprint().Digest}"));
        return new Fingerprint(QuantizationJob.Version, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all))));
    }

    /// <summary>The progress of one of several jobs that read the same bytes.</summary>
    private sealed class Part(IProgress<JobProgress> whole, int index, int count) : IProgress<JobProgress>
    {
        public void Report(JobProgress value) => whole.Report(value with { DoneBytes = (index * value.TotalBytes) + value.DoneBytes, TotalBytes = count * value.TotalBytes });
    }
}

using System.Collections.Concurrent;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Evaluation.Answers;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;

namespace Bitsmith.Quantization.Verification;

/// <summary>Something wrong with a result.</summary>
/// <param name="Place">The file, tensor or check.</param>
/// <param name="Problem">What was found and what was expected.</param>
public sealed record Finding(string Place, string Problem);

/// <summary>The outcome of a verification.</summary>
/// <param name="Findings">What is wrong; empty where all is well.</param>
/// <param name="Checks">Packaging checks.</param>
/// <param name="FilesHashed">Files compared with their recorded hash.</param>
/// <param name="TensorsCompared">Tensors compared with the base model.</param>
/// <param name="Repaired">Files that <c>--fix</c> changed.</param>
/// <param name="Answers">What the model answered; null where it was not run.</param>
/// <param name="Tensors">The error of every tensor compared with the base model; null for folders, where the format's bound is checked instead.</param>
public sealed record VerificationReport(
    IReadOnlyList<Finding> Findings,
    IReadOnlyList<CheckResult> Checks,
    int FilesHashed,
    int TensorsCompared,
    IReadOnlyCollection<string> Repaired,
    IReadOnlyList<AnswerCheck>? Answers = null,
    IReadOnlyList<TensorReport>? Tensors = null)
{
    /// <summary>True where nothing is wrong.</summary>
    public bool IsSound => Findings.Count == 0;
}

/// <summary>
/// Verifies a quantized folder (a GGUF file: <see cref="GgufVerifier"/>): hashes of every file (where it has a bitsmith.json), structure, packaging checks; and against the base model every tensor's presence, type, shape and
/// content (kept ones equal, encoded ones within the format's bound; of those that bitsmith.json says calibration fitted, that they are well formed).
/// </summary>
public static class Verifier
{
    /// <summary>Verifies.</summary>
    /// <param name="folder">The result.</param>
    /// <param name="baseModel">The source folder, or null to leave the comparison out.</param>
    /// <param name="fix">Make the repairs of the packaging checks; their files and hashes are updated.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="progress">Told of bytes worked through.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="CheckpointException">The base model is broken, or the folder does not exist.</exception>
    public static VerificationReport Verify(
        string folder, string? baseModel, bool fix, int threads, IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(folder))
        {
            throw new CheckpointException(folder, "there is no such folder.");
        }

        ConcurrentQueue<Finding> findings = new();
        Manifest? manifest = LoadManifest(folder, findings);
        int hashed = manifest is null ? 0 : CompareHashes(folder, manifest, findings, threads, cancellationToken);
        IReadOnlyList<CheckResult> checks = [];
        IReadOnlyCollection<string> repaired = [];
        int compared = 0;
        try
        {
            // A repair changes files: only a folder that is intact so far is touched.
            (checks, repaired) = PackageInspector.Inspect(folder, fix && findings.IsEmpty);
            foreach (CheckResult check in checks.Where(check => check.Verdict == Verdict.Fail))
            {
                findings.Enqueue(new Finding($"check {check.Name}", $"{check.Evidence}. Repair: {check.Repair}"));
            }

            if (baseModel is not null)
            {
                compared = CompareWithBase(folder, baseModel, CalibratedIn(manifest), findings, threads, progress, cancellationToken);
            }
        }
        catch (CheckpointException problem) when (baseModel is null || !problem.Path.StartsWith(baseModel, StringComparison.Ordinal))
        {
            findings.Enqueue(new Finding(problem.Path, problem.Message));
        }

        catch (Exception problem) when (problem is RecipeException or ModulePatternException)
        {
            findings.Enqueue(new Finding(ModelConfig.FileName, problem.Message));
        }

        if (repaired.Count > 0 && manifest is not null)
        {
            FileDigest[] output = [.. manifest.Output.Select(file => repaired.Contains(file.File) ? FileHash.Compute(Path.Combine(folder, file.File)) : file)];
            DurableFile.WriteAtomically(Path.Combine(folder, Manifest.FileName), ManifestFile.Write(manifest with { Output = output, Checks = checks }));
        }

        return new VerificationReport([.. findings], checks, hashed, compared, repaired);
    }

    private static Manifest? LoadManifest(string folder, ConcurrentQueue<Finding> findings)
    {
        string path = Path.Combine(folder, Manifest.FileName);
        try
        {
            return File.Exists(path) ? ManifestFile.Load(path) : null;
        }
        catch (CheckpointException problem)
        {
            findings.Enqueue(new Finding(Manifest.FileName, problem.Message));
            return null;
        }
    }

    /// <summary>Tensors of the base model that calibration fitted or changed, so that they cannot be compared with it.</summary>
    private static HashSet<string> CalibratedIn(Manifest? manifest) =>
        [.. manifest?.Calibration?.Changed ?? [], .. (manifest?.Tensors ?? []).Where(tensor => tensor.Outputs is not null).Select(tensor => tensor.Name)];

    private static int CompareHashes(
        string folder, Manifest manifest, ConcurrentQueue<Finding> findings, int threads, CancellationToken cancellationToken)
    {
        HashSet<string> present = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/'))];
        foreach (string extra in present.Except(manifest.Output.Select(file => file.File)).Where(file => file != Manifest.FileName).Order(StringComparer.Ordinal))
        {
            findings.Enqueue(new Finding(extra, "is not part of the result that bitsmith.json describes"));
        }

        FileHash.Compare(folder, manifest.Output, (file, problem) => findings.Enqueue(new Finding(file, problem)), threads, cancellationToken);
        return manifest.Output.Count;
    }

    private static int CompareWithBase(
        string folder, string baseModel, IReadOnlySet<string> calibrated, ConcurrentQueue<Finding> findings, int threads, IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        using CheckpointFolder source = CheckpointFolder.Open(baseModel);
        using CheckpointFolder result = CheckpointFolder.Open(folder);
        string configPath = Path.Combine(folder, ModelConfig.FileName);
        QuantizationConfig config = QuantizationConfig.Read(result.Config.Text, configPath)!;
        ModuleTree modules = ModuleTree.Build(source.Config, source.Tensors, baseModel);
        QuantizationPlan plan = Planner.Create(
            modules, source.Tensors, Package.RecipeOf(config, configPath), new PlanOptions(AllowUnmatched: true), configPath);

        TensorComparison comparison = new(source, result, calibrated, findings);
        Dictionary<string, StoredTensor> found = result.Tensors.ToDictionary(tensor => tensor.Name);
        List<PlanRow> comparable = [];
        foreach (PlanRow row in plan.Rows)
        {
            bool complete = true;
            foreach (TensorInfo expected in row.Outputs)
            {
                bool present = found.Remove(expected.Name, out StoredTensor? tensor);
                if (!present || tensor!.Describe() != expected.Describe())
                {
                    findings.Enqueue(new Finding(expected.Name, $"{(present ? $"is {tensor!.Describe()}" : "is missing")}, expected {expected.Describe()} ({row.Rule})"));
                    complete = false;
                }
            }

            if (complete)
            {
                comparable.Add(row);
            }
        }

        foreach (StoredTensor extra in found.Values)
        {
            findings.Enqueue(new Finding(extra.Name, $"is in the result as {extra.Describe()} but has no counterpart in the base model"));
        }

        long done = 0;
        Parallel.ForEach(
            Partitioner.Create(comparable, EnumerablePartitionerOptions.NoBuffering),
            new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken },
            row =>
            {
                comparison.Compare(row, cancellationToken);
                progress?.Report(new JobProgress(Interlocked.Add(ref done, row.Source.Bytes), plan.BytesBefore, row.Source.Name));
            });
        return comparable.Count;
    }
}

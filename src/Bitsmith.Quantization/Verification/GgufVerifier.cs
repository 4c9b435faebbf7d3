using System.Collections.Concurrent;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Verification;

/// <summary>
/// Verifies a GGUF file: hashes (where NAME.bitsmith.json stands beside it), structure, metadata, that every value decodes to a finite number; and against the base model every tensor's
/// presence, shape and error.
/// </summary>
public static class GgufVerifier
{
    // Beyond this a tensor is no nearer to the base than zeros are: of another model, or with its rows in another order.
    private const double MostRelativeRmse = 1;

    /// <summary>Runs the packaging checks alone, from the file's header.</summary>
    /// <param name="path">The file; of a split one, any of its files.</param>
    /// <exception cref="CheckpointException">It is broken.</exception>
    public static IReadOnlyList<CheckResult> Check(string path)
    {
        using GgufModel model = GgufModel.Open(path);
        return GgufChecks.Run(model);
    }

    /// <summary>Verifies.</summary>
    /// <param name="path">The file, or any file of a split one.</param>
    /// <param name="baseModel">The source, a Hugging Face folder or a GGUF file; null to leave the comparison out.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="progress">Told of bytes worked through.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="CheckpointException">The base model is broken, or the file does not exist.</exception>
    public static VerificationReport Verify(string path, string? baseModel, int threads, IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        if (!File.Exists(path))
        {
            throw new CheckpointException(path, "there is no such file.");
        }

        using GgufSource? source = baseModel is null ? null : GgufSource.Open(baseModel);
        ConcurrentQueue<Finding> findings = new();
        int hashed = CompareHashes(path, findings, threads, cancellationToken);
        IReadOnlyList<CheckResult> checks = [];
        ConcurrentBag<TensorReport> reports = [];
        try
        {
            using GgufSource result = GgufSource.Open(path);
            using (GgufModel model = GgufModel.Open(path))
            {
                checks = GgufChecks.Run(model);
            }

            foreach (CheckResult check in checks.Where(check => check.Verdict == Verdict.Fail))
            {
                findings.Enqueue(new Finding($"check {check.Name}", $"{check.Evidence}. Repair: {check.Repair}"));
            }

            Dictionary<string, GgufOutput>? expected = source?.Tensors.ToDictionary(tensor => tensor.Info.Name, StringComparer.Ordinal);
            List<(GgufOutput Tensor, GgufOutput? Base)> pairs = Pair(result, expected, findings);
            long done = 0, total = result.Tensors.Sum(tensor => tensor.Info.Bytes);
            Parallel.ForEach(
                Partitioner.Create(pairs, EnumerablePartitionerOptions.NoBuffering),
                new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken },
                pair =>
                {
                    if (Compare(pair.Tensor, pair.Base, findings, cancellationToken) is { } report)
                    {
                        reports.Add(report);
                    }

                    progress?.Report(new JobProgress(Interlocked.Add(ref done, pair.Tensor.Info.Bytes), total, pair.Tensor.Info.Name));
                });
        }
        catch (CheckpointException problem) when (baseModel is null || !problem.Path.StartsWith(baseModel, StringComparison.Ordinal))
        {
            findings.Enqueue(new Finding(problem.Path, problem.Message));
        }

        return new VerificationReport([.. findings], checks, hashed, reports.Count, [], Tensors: [.. reports.OrderBy(report => report.Name, StringComparer.Ordinal)]);
    }

    private static int CompareHashes(string path, ConcurrentQueue<Finding> findings, int threads, CancellationToken cancellationToken)
    {
        string manifestPath = GgufManifest.PathFor(path);
        GgufManifest manifest;
        try
        {
            if (!File.Exists(manifestPath))
            {
                return 0;
            }

            manifest = ManifestFile.LoadGguf(manifestPath);
        }
        catch (CheckpointException problem)
        {
            findings.Enqueue(new Finding(Path.GetFileName(manifestPath), problem.Message));
            return 0;
        }

        FileHash.Compare(Path.GetDirectoryName(Path.GetFullPath(path))!, manifest.Output, (file, problem) => findings.Enqueue(new Finding(file, problem)), threads, cancellationToken);
        return manifest.Output.Count;
    }

    private static List<(GgufOutput Tensor, GgufOutput? Base)> Pair(GgufSource result, Dictionary<string, GgufOutput>? expected, ConcurrentQueue<Finding> findings)
    {
        List<(GgufOutput, GgufOutput?)> pairs = [];
        foreach (GgufOutput tensor in result.Tensors)
        {
            if (expected is null)
            {
                pairs.Add((tensor, null));
            }
            else if (!expected.Remove(tensor.Info.Name, out GgufOutput? original) || !original.Info.Shape.SequenceEqual(tensor.Info.Shape))
            {
                findings.Enqueue(new Finding(tensor.Info.Name, $"is {tensor.Info.Describe()}, {(original is null ? "but has no counterpart in the base model" : $"in the base model {original.Info.Describe()}")}"));
            }
            else
            {
                pairs.Add((tensor, original));
            }
        }

        foreach (GgufOutput missing in expected?.Values.AsEnumerable() ?? [])
        {
            findings.Enqueue(new Finding(missing.Info.Name, $"is missing, expected {missing.Info.Describe()}"));
        }

        return pairs;
    }

    /// <summary>Decodes a tensor; what it lost where there is a base, null where there is none.</summary>
    private static TensorReport? Compare(GgufOutput tensor, GgufOutput? original, ConcurrentQueue<Finding> findings, CancellationToken cancellationToken)
    {
        GgufTensorInfo info = tensor.Info;
        if (!GgmlFormats.TryGet(info.Type.Number, out _))
        {
            return null; // whole numbers, which are always finite
        }

        QuantizationError error = default;
        for (int matrix = 0; matrix < tensor.Parts.Count; matrix++)
        {
            TensorSource part = tensor.Parts[matrix];
            int rowsEach = Math.Clamp(GgufSteps.TargetValues / Math.Max(1, part.Columns), 1, Math.Max(1, part.Rows));
            float[] values = new float[rowsEach * part.Columns], expected = new float[original is null ? 0 : values.Length];
            for (int first = 0; first < part.Rows; first += rowsEach)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int rows = Math.Min(rowsEach, part.Rows - first);
                Span<float> found = values.AsSpan(0, rows * part.Columns);
                part.Read(first, rows, found);
                int bad = found.IndexOfAnyExceptInRange(float.MinValue, float.MaxValue);
                if (bad >= 0)
                {
                    findings.Enqueue(new Finding(info.Name, $"{(tensor.Parts.Count > 1 ? $"matrix {matrix}, " : string.Empty)}row {first + (bad / part.Columns)}, column {bad % part.Columns} decodes to {found[bad]}"));
                    return null;
                }

                if (original is not null)
                {
                    original.Parts[matrix].Read(first, rows, expected.AsSpan(0, found.Length));
                    error += QuantizationError.Between(expected.AsSpan(0, found.Length), found);
                }
            }

            part.Release();
            original?.Parts[matrix].Release();
        }

        if (original is null)
        {
            return null;
        }

        if (!(error.RelativeRmse < MostRelativeRmse))
        {
            findings.Enqueue(new Finding(info.Name, $"lies as far from the base model as zeros do, or farther: relative RMSE {error.RelativeRmse:0.000}. It belongs to another model, or its rows are in another order"));
        }

        return TensorReport.Create(info.Name, info.Type.Name, info.Bytes, error, null);
    }
}

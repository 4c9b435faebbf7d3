namespace Bitsmith.Quantization.Packaging;

/// <summary>A named question about a quantized folder: does each client read it, and if not, what repairs it.</summary>
internal interface IPackagingCheck
{
    /// <summary>Stable name.</summary>
    string Name { get; }

    /// <summary>Answers; with <paramref name="fix"/>, edits the package so that the answer becomes <see cref="Verdict.Fixed"/> where a repair exists.</summary>
    CheckResult Run(Package package, bool fix);
}

/// <summary>Runs all packaging checks.</summary>
public static class PackageInspector
{
    // Checked against transformers 5.12.1 with compressed-tensors 0.17.1, and the source of vLLM; docs/checks.md explains each.
    private static readonly IPackagingCheck[] Checks =
    [
        new QuantizationStatusCheck(),
        new RopeFieldsCheck(),
        new ProcessorTypeCheck(),
        new TokenTypeIdsCheck(),
        new VisionIgnoreCheck(),
        new BlockLayoutCheck(),
        new ActivationGroupsCheck(),
        new FusedLayersCheck(),
        new PerExpertCheck(),
        new MtpLayerCheck(),
        new TensorParallelCheck(),
    ];

    /// <summary>Inspects a folder.</summary>
    /// <param name="folder">A quantized checkpoint.</param>
    /// <param name="fix">Make repairs.</param>
    /// <returns>The results, and the names of the files that repairs changed.</returns>
    /// <exception cref="Checkpoints.CheckpointException">The folder is no quantized checkpoint.</exception>
    public static (IReadOnlyList<CheckResult> Results, IReadOnlyCollection<string> Edited) Inspect(string folder, bool fix)
    {
        Package package = Package.Open(folder);
        CheckResult[] results = [.. Checks.Select(check => check.Run(package, fix))];
        package.Save();
        return (results, package.Edited);
    }
}

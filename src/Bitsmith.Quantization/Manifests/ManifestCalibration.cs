using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Calibration.Weights;

namespace Bitsmith.Quantization.Manifests;

/// <summary>How a result was calibrated, and what that gained.</summary>
public sealed record ManifestCalibration
{
    /// <summary>The sources: names of files or folders without their path, and <c>ORG/NAME:SPLIT</c> of data sets.</summary>
    public required IReadOnlyList<CalibrationSource> Sources { get; init; }

    /// <summary>Number of samples.</summary>
    public required int Samples { get; init; }

    /// <summary>Most tokens of a sample.</summary>
    public required int MaxLength { get; init; }

    /// <summary>Shares of lengths.</summary>
    public required IReadOnlyList<LengthClass> Lengths { get; init; }

    /// <summary>Seed of the choice; null where samples were taken as they stood.</summary>
    public required uint? Seed { get; init; }

    /// <summary>The column that was named.</summary>
    public required string? Field { get; init; }

    /// <summary>Tokens of all samples.</summary>
    public required long Tokens { get; init; }

    /// <summary>The samples' digest: <see cref="CalibrationData.Digest"/>.</summary>
    public required string Digest { get; init; }

    /// <summary>How weights were fitted.</summary>
    public required WeightCalibrationOptions Method { get; init; }

    /// <summary>What each layer saw.</summary>
    public required Propagation Propagation { get; init; }

    /// <summary>Kernels and roundings of the forward pass, on which the bytes depend.</summary>
    public required string Arithmetic { get; init; }

    /// <summary>Mean over all weights of what the error of their outputs gained over the library's min-max rounding, in dB; null where none was measured.</summary>
    public required double? OutputGainDb { get; init; }

    /// <summary>Tensors that stayed unquantized but were changed, such as norms into which scales were folded.</summary>
    public required IReadOnlyList<string> Changed { get; init; }

    /// <summary>Tokens of experts, for each layer that has some.</summary>
    public required IReadOnlyList<ExpertTokens> Experts { get; init; }

    /// <summary>The options that make the same result again.</summary>
    /// <param name="paths">The sources with their paths; none for those of the manifest. Weights need not be told again.</param>
    /// <param name="cache">Where data sets are looked for.</param>
    public QuantizationCalibration ToOptions(IReadOnlyList<CalibrationSource> paths, DatasetCache? cache) => new()
    {
        Data = new CalibrationOptions
        {
            Sources = paths.Count == 0 ? Sources : paths.Count == Sources.Count ? [.. paths.Zip(Sources, (path, source) => path with { Weight = path.Weight ?? source.Weight })] : paths,
            Samples = Samples,
            MaxLength = MaxLength,
            Lengths = Lengths,
            Seed = Seed,
            Field = Field,
            Cache = cache,
        },
        Method = Method,
        Propagation = Propagation,
        ExpectedDigest = Digest,
    };
}

/// <summary>What the outputs of a calibrated Linear lost on the samples.</summary>
/// <param name="RelativeError">Root mean square error over root mean square output; null where it was not measured.</param>
/// <param name="GainDb">Decibels gained over the library's min-max rounding; null where that cannot be said.</param>
public sealed record OutputReport(double? RelativeError, double? GainDb);

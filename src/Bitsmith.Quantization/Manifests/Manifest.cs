using System.Text.Json.Serialization;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Manifests;

/// <summary>
/// bitsmith.json: where a result came from, how it was made and what it lost. Holds no time, path or machine, so the same work gives the
/// same bytes.
/// </summary>
public sealed record Manifest
{
    /// <summary>The file's name in a result.</summary>
    public const string FileName = "bitsmith.json";

    /// <summary>Version of this layout.</summary>
    public const int CurrentFormat = 1;

    /// <summary>Version of this layout that the file has.</summary>
    public required int Format { get; init; }

    /// <summary>The Bitsmith that wrote it, with commit.</summary>
    public required string Version { get; init; }

    /// <summary><c>model_type</c> of the source.</summary>
    public required string ModelType { get; init; }

    /// <summary>The recipe.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>The options that decide the bytes.</summary>
    public required ManifestOptions Options { get; init; }

    /// <summary>How it was calibrated; null where only the weights were looked at.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ManifestCalibration? Calibration { get; init; }

    /// <summary>Totals.</summary>
    public required ManifestTotals Totals { get; init; }

    /// <summary>Packaging checks of the result.</summary>
    public required IReadOnlyList<CheckResult> Checks { get; init; }

    /// <summary>What the plan warned of.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Files of the source that were not carried over (weights in other formats).</summary>
    public required IReadOnlyList<string> LeftOut { get; init; }

    /// <summary>Every file read.</summary>
    public required IReadOnlyList<FileDigest> Source { get; init; }

    /// <summary>Every file of the result but this one.</summary>
    public required IReadOnlyList<FileDigest> Output { get; init; }

    /// <summary>Every encoded weight with its loss.</summary>
    public required IReadOnlyList<TensorReport> Tensors { get; init; }

    /// <summary>SHA-256 of this file with this value as 64 zeros.</summary>
    public required string Digest { get; init; }
}

/// <summary>Options that decide the bytes of a result.</summary>
/// <param name="Encoder">How scales and codes were chosen.</param>
/// <param name="MaxShardBytes">Limit of a weight file.</param>
/// <param name="Fix">Whether packaging repairs were made.</param>
/// <param name="AllowUnmatched">Whether patterns without a match were permitted.</param>
public sealed record ManifestOptions(WeightEncoder Encoder, long MaxShardBytes, bool Fix, bool AllowUnmatched);

/// <summary>Totals of a result.</summary>
/// <param name="Tensors">Tensors of the source.</param>
/// <param name="EncodedLinears">Linear modules encoded.</param>
/// <param name="BytesBefore">Tensor bytes of the source.</param>
/// <param name="BytesAfter">Tensor bytes of the result.</param>
/// <param name="RelativeRmse">Over all encoded weights together.</param>
/// <param name="SnrDb">Signal to noise ratio in dB over all encoded weights together; null where nothing was lost.</param>
/// <param name="GainDb">With the encoder <c>best</c>: dB gained over the library's encoder, over all weights that calibration did not fit.</param>
public sealed record ManifestTotals(
    int Tensors, int EncodedLinears, long BytesBefore, long BytesAfter, double? RelativeRmse, double? SnrDb, double? GainDb);

/// <summary>A file and its content's hash.</summary>
/// <param name="File">Path relative to the model folder, with forward slashes.</param>
/// <param name="Bytes">Length.</param>
/// <param name="Sha256">Lower-case hexadecimal.</param>
public sealed record FileDigest(string File, long Bytes, string Sha256);

/// <summary>An encoded weight.</summary>
/// <param name="Name">The tensor in the source.</param>
/// <param name="Format">Storage format and block.</param>
/// <param name="Bytes">Bytes of codes and scales.</param>
/// <param name="RelativeRmse">Root mean square error over root mean square weight.</param>
/// <param name="MaxAbsError">Largest absolute error.</param>
/// <param name="SnrDb">Signal to noise ratio in dB; null where nothing was lost.</param>
/// <param name="GainDb">With the encoder <c>best</c>: dB gained over the library's encoder.</param>
/// <param name="Outputs">Where calibration fitted it: what its outputs lost. The weight's own error is then no measure: it holds what makes good the errors of other weights, and scales that were folded.</param>
public sealed record TensorReport(
    string Name, string Format, long Bytes, double? RelativeRmse, double? MaxAbsError, double? SnrDb, double? GainDb,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] OutputReport? Outputs = null)
{
    /// <summary>Sums up an error.</summary>
    public static TensorReport Create(string name, string format, long bytes, QuantizationError error, QuantizationError? library) => new(
        name, format, bytes, Finite(error.RelativeRmse), Finite(error.MaxAbsolute), Finite(error.SignalToNoiseDecibels), Gain(error, library));

    /// <summary>Decibels by which an error is below the library's; null without both.</summary>
    internal static double? Gain(QuantizationError error, QuantizationError? library) => library is { } other
        ? Finite(10 * Math.Log10(other.SquaredError / error.SquaredError))
        : null;

    /// <summary>Null in place of what JSON cannot hold.</summary>
    internal static double? Finite(double value) => double.IsFinite(value) ? value : null;
}

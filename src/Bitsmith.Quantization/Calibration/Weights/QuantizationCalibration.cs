using Bitsmith.Quantization.Calibration.Data;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>How a quantization job is calibrated.</summary>
public sealed record QuantizationCalibration
{
    /// <summary>The samples.</summary>
    public required CalibrationOptions Data { get; init; }

    /// <summary>How weights are fitted to them.</summary>
    public required WeightCalibrationOptions Method { get; init; }

    /// <summary>What each layer sees.</summary>
    public Propagation Propagation { get; init; }

    /// <summary>The digest that the samples must have (<see cref="CalibrationData.Digest"/>), where an earlier result is to be made again; null otherwise.</summary>
    public string? ExpectedDigest { get; init; }
}

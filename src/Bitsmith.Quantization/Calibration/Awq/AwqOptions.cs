using System.Globalization;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>How factors are searched.</summary>
public sealed record AwqOptions
{
    /// <summary>Points of the grid, the identity included; at least 3.</summary>
    public int Points
    {
        get;
        init => field = value >= 3 ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "A grid has at least 3 points.");
    }
    = 20;

    /// <summary>About how many rows of the weights of a mapping are rounded at every point: every n-th, n odd, of each Linear. <see cref="int.MaxValue"/> for all.</summary>
    public int Rows
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "At least one row is needed.");
    }
    = 1024;

    /// <summary>How the weights are rounded at every point. The best encoder's search, with the mean squares of the inputs, takes several times as long.</summary>
    public WeightEncoder Encoder { get; init; } = WeightEncoder.Library;

    /// <summary>What the factors depend on, in a line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Points} points, {(Rows == int.MaxValue ? "all" : Rows)} rows, {Encoder} rounding");
}

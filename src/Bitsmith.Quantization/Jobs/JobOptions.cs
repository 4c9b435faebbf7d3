using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>What a quantization job is asked to do.</summary>
public sealed record JobOptions
{
    /// <summary>The default limit of a weight file: 5 GB, as on the hub.</summary>
    public const long DefaultMaxShardBytes = 5_000_000_000;

    private readonly WeightEncoder? encoder;

    /// <summary>The source: a Hugging Face folder.</summary>
    public required string Model { get; init; }

    /// <summary>The folder to write.</summary>
    public required string Output { get; init; }

    /// <summary>What to quantize.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>How scales and codes are chosen; the recipe's default where it is not set.</summary>
    public WeightEncoder Encoder
    {
        get => encoder ?? Recipe.DefaultEncoder;
        init => encoder = value;
    }

    /// <summary>Samples that the weights of the decoder layers are fitted to; null to look at the weights alone. Schemes that quantize inputs with stored scales (NVFP4 W4A4) need it.</summary>
    public QuantizationCalibration? Calibration { get; init; }

    /// <summary>Limit of a weight file in bytes.</summary>
    public long MaxShardBytes { get; init; } = DefaultMaxShardBytes;

    /// <summary>Encoding threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Make the repairs of the packaging checks.</summary>
    public bool Fix { get; init; }

    /// <summary>Patterns that match no module are warnings.</summary>
    public bool AllowUnmatched { get; init; }

    /// <summary>Replace an existing output, or start an interrupted job over.</summary>
    public bool Force { get; init; }

    /// <summary>Go on with an interrupted job.</summary>
    public bool Resume { get; init; }

    /// <summary>The most memory the job may use, in bytes; null for no limit of its own.</summary>
    public long? MaxMemoryBytes { get; init; }
}

/// <summary>How far a job is.</summary>
/// <param name="DoneBytes">Source bytes worked through.</param>
/// <param name="TotalBytes">Source bytes in all.</param>
/// <param name="Tensor">The tensor at work.</param>
public readonly record struct JobProgress(long DoneBytes, long TotalBytes, string Tensor);

using System.Globalization;
using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>Where samples come from.</summary>
/// <param name="Location">A data set's file, a text file, a folder of either, or <c>ORG/NAME:SPLIT</c> of the Hugging Face cache.</param>
/// <param name="Weight">Its share of the samples, relative to the other sources'; null where all sources are one pool from which rows are drawn alike.</param>
public sealed record CalibrationSource(string Location, double? Weight = null)
{
    /// <summary>Reads a source as <c>LOCATION</c> or <c>LOCATION=WEIGHT</c>.</summary>
    /// <exception cref="RequestException">The weight is not above 0.</exception>
    public static CalibrationSource Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int sign = text.LastIndexOf('=');
        return sign < 0 || !double.TryParse(text[(sign + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out double weight) ? new CalibrationSource(text)
            : weight > 0 && double.IsFinite(weight) ? new CalibrationSource(text[..sign], weight)
            : throw new RequestException($"'{text}': a source's weight is a number above 0.");
    }
}

/// <summary>Which samples a model is calibrated on.</summary>
public sealed record CalibrationOptions
{
    /// <summary>The samples that recipes for llm-compressor take.</summary>
    public const int DefaultSamples = 512;

    /// <summary>The longest sample in recipes for llm-compressor, in tokens.</summary>
    public const int DefaultMaxLength = 2048;

    /// <summary>The seed of most recipes.</summary>
    public const uint DefaultSeed = 42;

    /// <summary>The sources; weights are given to all or to none.</summary>
    public required IReadOnlyList<CalibrationSource> Sources { get; init; }

    /// <summary>Number of samples.</summary>
    public int Samples { get; init; } = DefaultSamples;

    /// <summary>Most tokens of a sample; what is behind them is cut off.</summary>
    public int MaxLength { get; init; } = DefaultMaxLength;

    /// <summary>Seed of the choice: rows are taken in the order of <c>datasets.Dataset.shuffle(seed)</c>. Null takes them as they stand.</summary>
    public uint? Seed { get; init; } = DefaultSeed;

    /// <summary>Shares of lengths, after the cut; none where any length will do.</summary>
    public IReadOnlyList<LengthClass> Lengths { get; init; } = [];

    /// <summary>The column that holds the sample; null for the first there is of <c>messages</c>, <c>conversations</c>, <c>input_ids</c> and <c>text</c>.</summary>
    public string? Field { get; init; }

    /// <summary>The cache in which <c>ORG/NAME:SPLIT</c> is looked for; null where there is none.</summary>
    public DatasetCache? Cache { get; init; }

    /// <summary>What makes no sense is refused.</summary>
    /// <exception cref="RequestException">The message says what.</exception>
    internal void Check()
    {
        int weighted = Sources.Count(source => source.Weight is not null), longest = Lengths.Count == 0 ? 0 : Lengths.Max(length => length.To);
        string? problem = Sources.Count == 0 ? "there is no source of calibration samples. Give a data set, a text, or ORG/NAME:SPLIT"
            : weighted != 0 && weighted != Sources.Count ? $"{weighted} of {Sources.Count} sources have a weight. Give one to all, or to none"
            : Samples < 1 ? $"{Samples} samples are none to calibrate on"
            : MaxLength < 1 ? $"samples of at most {MaxLength} tokens are empty"
            : longest > MaxLength ? $"a class of lengths ends at {longest} tokens, but samples are cut at {MaxLength}. Raise the greatest length"
            : null;
        if (problem is not null)
        {
            throw new RequestException($"{problem}.");
        }
    }
}

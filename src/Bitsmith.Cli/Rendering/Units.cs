using System.Globalization;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Cli.Rendering;

/// <summary>Sizes and durations as people write them.</summary>
internal static class Units
{
    private static readonly (string Suffix, long Bytes)[] Sizes =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
    ];

    /// <summary>Bytes with a decimal unit, for example <c>12.43 GB</c>.</summary>
    public static string Bytes(long bytes)
    {
        (string suffix, long unit) = bytes switch
        {
            >= 1_000_000_000 => ("GB", 1_000_000_000),
            >= 1_000_000 => ("MB", 1_000_000),
            >= 1_000 => ("kB", 1_000),
            _ => ("B", 1L),
        };
        return unit == 1 ? $"{bytes} B" : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / unit:0.00} {suffix}");
    }

    /// <summary>What a job needs, in words.</summary>
    public static string Needs(ResourceEstimate estimate) =>
        $"at most {estimate.PeakMemoryBytes >> 20} MiB of memory, {Bytes(estimate.DiskBytes)} of disk{(estimate.Seconds is { } seconds ? $", about {TimeSpan.FromSeconds(Math.Ceiling(seconds)):g}" : string.Empty)}";

    /// <summary>Reads <c>5GB</c>, <c>8GiB</c>, <c>1000000</c>.</summary>
    /// <exception cref="FormatException">The text is no size.</exception>
    public static long ParseBytes(string text)
    {
        string trimmed = text.Trim();
        (string Suffix, long Bytes) unit = Sizes.FirstOrDefault(size => trimmed.EndsWith(size.Suffix, StringComparison.OrdinalIgnoreCase), (string.Empty, 1));
        string number = trimmed[..^unit.Suffix.Length].Trim();
        return double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value > 0 && value * unit.Bytes < long.MaxValue
            ? (long)(value * unit.Bytes)
            : throw new FormatException($"'{text}' is no size; write for example 5GB, 512MiB or 1000000");
    }
}

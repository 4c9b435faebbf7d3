namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>The times that stand behind the frames of a video in a prompt.</summary>
public static class VideoTimes
{
    /// <summary>The rate that transformers assumes, with a warning, where a video does not tell its own.</summary>
    public const double AssumedFramesPerSecond = 24;

    /// <summary>The time of the first frame of each pair, in seconds.</summary>
    /// <param name="frames">The sampled frames, see <see cref="VideoSampling"/>.</param>
    /// <param name="framesPerSecond">Of the video.</param>
    /// <param name="pairs">Temporal patches, <see cref="VisionGrid.Frames"/>; the last time is repeated where there are too few frames.</param>
    public static double[] Of(ReadOnlySpan<int> frames, double framesPerSecond, int pairs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(framesPerSecond);
        ArgumentOutOfRangeException.ThrowIfNegative(pairs);
        double[] times = new double[pairs];
        int last = (frames.Length - 1) / 2;
        for (int i = 0; i < pairs && !frames.IsEmpty; i++)
        {
            times[i] = frames[2 * Math.Min(i, last)] / framesPerSecond;
        }

        return times;
    }

    /// <summary>Writes a time as the model expects it.</summary>
    /// <param name="seconds">The time, not negative.</param>
    /// <param name="family">The processor.</param>
    public static string Format(double seconds, ProcessorFamily family) =>
        family == ProcessorFamily.Glm4V ? $"{Math.Truncate(seconds):F0}" : $"{OneDecimal(seconds):F1} seconds";

    /// <summary>
    /// Rounds to tenths as Python's <c>.1f</c> does: by the exact value of the double, a tie to even (0.25 gives 0.2). .NET's F1 rounds ties up.
    /// </summary>
    private static decimal OneDecimal(double seconds)
    {
        double tenths = seconds * 10;
        double error = Math.FusedMultiplyAdd(seconds, 10, -tenths); // what the product has lost
        double whole = Math.Floor(tenths), rest = tenths - whole - 0.5;
        bool up = rest != 0 ? rest + error > 0 : error > 0 || (error == 0 && whole % 2 == 1);
        return (decimal)(up ? whole + 1 : whole) / 10;
    }
}

namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>
/// Which frames of a video the model sees. Both rules follow transformers to the last index, double arithmetic included; duplicates are removed and an odd
/// number of frames is filled up by repeating the last one.
/// </summary>
public static class VideoSampling
{
    private const int MostFramesGlm46 = 640;
    private const double LongestGlm46 = 2400;

    /// <summary>The frames that a processor takes.</summary>
    /// <param name="totalFrames">Frames in the video, at least 1.</param>
    /// <param name="framesPerSecond">Of the video; null for frames that were chosen before: all of them are taken.</param>
    /// <param name="family">The video processor.</param>
    /// <param name="settings">Its settings.</param>
    public static int[] Of(int totalFrames, double? framesPerSecond, ProcessorFamily family, ImageProcessorSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return framesPerSecond is not double rate ? [.. Enumerable.Range(0, totalFrames)]
            : family == ProcessorFamily.Glm46V ? Glm46V(totalFrames, rate, temporalPatchSize: settings.TemporalPatchSize)
            : Glm4V(totalFrames, rate, rate: settings.SampledFramesPerSecond, longest: settings.MaxDuration);
    }

    /// <summary>
    /// The rule of GLM-4.6V: 3 frame pairs a second up to 30 s, 1 up to 300 s, 0.5 above, at most 640 frames and the first 2400 s counted.
    /// </summary>
    /// <param name="totalFrames">Frames in the video, at least 1.</param>
    /// <param name="framesPerSecond">Of the video.</param>
    /// <param name="seconds">Length of the video; when null it follows from the other two.</param>
    /// <param name="temporalPatchSize">Frames that one patch takes.</param>
    public static int[] Glm46V(int totalFrames, double framesPerSecond, double? seconds = null, int temporalPatchSize = 2)
    {
        double duration = Check(totalFrames, framesPerSecond, seconds);
        ArgumentOutOfRangeException.ThrowIfLessThan(temporalPatchSize, 1);
        double counted = Math.Min(duration, LongestGlm46);
        double pairsPerSecond = counted <= 30 ? 3 : counted <= 300 ? 1 : 0.5;
        int wanted = (int)Math.Min(counted * pairsPerSecond * temporalPatchSize, MostFramesGlm46);

        List<int> frames = totalFrames < wanted
            ? Linear(0, totalFrames - 1, wanted)
            : Walk(totalFrames, framesPerSecond, duration, 1 / (temporalPatchSize * pairsPerSecond));
        if (frames.Count < wanted)
        {
            frames = frames.Count == 0 ? Linear(0, totalFrames - 1, wanted) : Linear(frames[0], frames[^1], wanted);
        }
        else if (frames.Count > wanted)
        {
            frames = Linear(0, totalFrames - 1, wanted);
        }

        return Finish(frames);
    }

    /// <summary>
    /// The rule of GLM-4.1V and GLM-4.5V: a fixed rate up to <paramref name="longest"/> seconds, above it as many frames as that would give, spread evenly.
    /// </summary>
    /// <param name="totalFrames">Frames in the video, at least 1.</param>
    /// <param name="framesPerSecond">Of the video.</param>
    /// <param name="seconds">Length of the video; when null it follows from the other two.</param>
    /// <param name="rate">Frames to take in a second.</param>
    /// <param name="longest">Seconds up to which the rate holds.</param>
    public static int[] Glm4V(int totalFrames, double framesPerSecond, double? seconds = null, double rate = 2, double longest = 300)
    {
        double duration = Check(totalFrames, framesPerSecond, seconds);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rate);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(longest);
        List<int> frames = [];
        int last = totalFrames - 1;
        if (duration <= longest)
        {
            double count = Math.Floor(duration * rate);
            for (int i = 0; i < count; i++)
            {
                double index = Math.Ceiling(i * framesPerSecond / rate);
                frames.Add((int)Math.Min(last, index));
                if (index >= last)
                {
                    break; // all that follow would be the same frame
                }
            }
        }
        else
        {
            double count = Math.Floor(longest * rate);
            if (count >= totalFrames)
            {
                frames.AddRange(Enumerable.Range(0, totalFrames));
            }
            else
            {
                foreach (double time in Spread(0, duration, (int)count))
                {
                    frames.Add((int)Math.Min(last, Math.Ceiling(time * framesPerSecond)));
                }
            }
        }

        return Finish(frames);
    }

    private static double Check(int totalFrames, double framesPerSecond, double? seconds)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(totalFrames, 1);
        if (!double.IsFinite(framesPerSecond) || framesPerSecond <= 0)
        {
            throw new ArgumentOutOfRangeException(nameof(framesPerSecond), framesPerSecond, "Expected a positive number of frames a second.");
        }

        if (seconds is { } given && (!double.IsFinite(given) || given < 0))
        {
            throw new ArgumentOutOfRangeException(nameof(seconds), seconds, "Expected a length in seconds, not negative.");
        }

        // As in Python, a length of 0 counts as unknown.
        return seconds is > 0 ? seconds.Value : Math.Round((totalFrames - 1) / framesPerSecond) + 1;
    }

    /// <summary>Takes the first frame at or after each multiple of the interval.</summary>
    private static List<int> Walk(int totalFrames, double framesPerSecond, double duration, double interval)
    {
        List<int> frames = [];
        double frameSeconds = 1 / framesPerSecond, next = 0, end = Math.Floor(duration);
        for (int i = 0; i < totalFrames; i++)
        {
            if (i * frameSeconds >= next)
            {
                next += interval;
                frames.Add(i);
                if (next >= end)
                {
                    break;
                }
            }
        }

        return frames;
    }

    /// <summary>numpy.linspace with whole numbers, which rounds down.</summary>
    private static List<int> Linear(int start, int stop, int count) => [.. Spread(start, stop, count).Select(value => (int)Math.Floor(value))];

    /// <summary>numpy.linspace: start + i * step, with the last value set to stop.</summary>
    private static IEnumerable<double> Spread(double start, double stop, int count)
    {
        double step = (stop - start) / (count - 1);
        for (int i = 0; i < count; i++)
        {
            yield return i > 0 && i == count - 1 ? stop : i == 0 ? start : (i * step) + start;
        }
    }

    private static int[] Finish(List<int> frames)
    {
        List<int> unique = [.. frames.Distinct()];
        if (unique.Count % 2 == 1)
        {
            unique.Add(unique[^1]);
        }

        return [.. unique];
    }
}

namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>
/// Chooses the size at which the vision tower sees a picture: transformers' <c>smart_resize</c> of Glm46VImageProcessor, with the same
/// double arithmetic, because a last bit can decide about a whole row of blocks.
/// </summary>
public static class SmartResize
{
    private const double LargestRatio = 200;

    /// <summary>What one array of values can hold with three channels.</summary>
    private const double MostPixels = 700_000_000;

    /// <summary>Finds the size.</summary>
    /// <param name="frames">Frames of a video; for a picture the temporal patch size, as a picture is shown that many times.</param>
    /// <param name="height">Height of the picture in pixels.</param>
    /// <param name="width">Width of the picture in pixels.</param>
    /// <param name="temporalFactor">Frames that one patch takes.</param>
    /// <param name="factor">Both sides become multiples of this: patch size times merge size.</param>
    /// <param name="limits">Smallest and largest number of pixels; all frames count.</param>
    /// <param name="source">What to call the picture in messages.</param>
    /// <exception cref="ImageException">One side is more than 200 times as long as the other, there are too few frames, or the result is too large.</exception>
    public static (int Height, int Width) Fit(int frames, int height, int width, int temporalFactor, int factor, PixelLimits limits, string source = "picture")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(temporalFactor, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(factor, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.Smallest, 1, nameof(limits));
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.Largest, limits.Smallest, nameof(limits));
        if (frames < temporalFactor)
        {
            throw new ImageException(source, ImageProblem.Unsuitable,
                $"a video of {frames} frames, expected at least {temporalFactor}. Repeat the frame, or show it as a picture.");
        }

        if (height < factor || width < factor)
        {
            double scale = Math.Max((double)factor / height, (double)factor / width);
            height = (int)(height * scale);
            width = (int)(width * scale);
        }

        double ratio = (double)Math.Max(height, width) / Math.Min(height, width);
        if (ratio > LargestRatio)
        {
            throw new ImageException(source, ImageProblem.Unsuitable,
                $"one side is {ratio:0.#} times as long as the other, at most {LargestRatio} is possible. Cut the picture into parts.");
        }

        // Python's round and Math.Round agree: half to even.
        double newHeight = Math.Round((double)height / factor) * factor;
        double newWidth = Math.Round((double)width / factor) * factor;
        double newFrames = Math.Round((double)frames / temporalFactor) * temporalFactor;
        double area = newFrames * newHeight * newWidth;
        if (area > limits.Largest)
        {
            double beta = Math.Sqrt((double)frames * height * width / limits.Largest);
            newHeight = Math.Max(factor, Math.Floor(height / beta / factor) * factor);
            newWidth = Math.Max(factor, Math.Floor(width / beta / factor) * factor);
        }
        else if (area < limits.Smallest)
        {
            double beta = Math.Sqrt(limits.Smallest / ((double)frames * height * width));
            newHeight = Math.Ceiling(height * beta / factor) * factor;
            newWidth = Math.Ceiling(width * beta / factor) * factor;
        }

        // A sound configuration stays far below this; one with a huge lower limit must not run into an overflow.
        return newFrames * newHeight * newWidth <= MostPixels
            ? ((int)newHeight, (int)newWidth)
            : throw new ImageException(source, ImageProblem.TooLarge,
                $"would be scaled to {newFrames} frames of {newWidth} x {newHeight} pixels, more than {MostPixels} in all. "
                + "Check size in preprocessor_config.json.");
    }
}

/// <summary>
/// The pixel counts between which a picture is scaled: <c>size.shortest_edge</c> and <c>size.longest_edge</c>, areas in spite of their names.
/// </summary>
/// <param name="Smallest">Fewest pixels, all frames counted; a picture counts twice, once for each temporal copy.</param>
/// <param name="Largest">Most pixels, counted the same way.</param>
public readonly record struct PixelLimits(long Smallest, long Largest);

namespace Bitsmith.Models.Images;

/// <summary>A video as a list of picture files, one for each frame; they are read when they are needed.</summary>
public sealed class VideoFrames
{
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg"];

    private readonly IReadOnlyList<string> files;

    /// <summary>Names the frames.</summary>
    /// <param name="files">PNG or JPEG files of one size, in order; at least one.</param>
    /// <param name="framesPerSecond">The rate of these frames: the model's processor takes as many of them as it does of a video of this rate. Null where they were chosen before: all are taken.</param>
    /// <param name="source">What to call the video in messages.</param>
    /// <exception cref="ImageException">There are no frames.</exception>
    public VideoFrames(IReadOnlyList<string> files, double? framesPerSecond, string source = "video")
    {
        ArgumentNullException.ThrowIfNull(files);
        if (framesPerSecond is double rate && !(rate > 0 && double.IsFinite(rate)))
        {
            throw new ArgumentOutOfRangeException(nameof(framesPerSecond), rate, "Expected a positive number of frames a second.");
        }

        this.files = files.Count > 0 ? files : throw new ImageException(source, ImageProblem.Unreadable, "has no frames; expected PNG or JPEG files.");
        (FramesPerSecond, Source) = (framesPerSecond, source);
    }

    /// <summary>Frames per second; null where the frames were chosen before.</summary>
    public double? FramesPerSecond { get; }

    /// <summary>What to call the video in messages.</summary>
    public string Source { get; }

    /// <summary>Number of frames.</summary>
    public int Count => files.Count;

    /// <summary>Takes a folder's pictures in the order of their names, compared character by character (<c>frame0002.png</c> before <c>frame0010.png</c>), or files named one by one.</summary>
    /// <param name="place">A folder, or files with commas between them.</param>
    /// <param name="framesPerSecond">As for the constructor.</param>
    /// <exception cref="ImageException">There are no frames.</exception>
    public static VideoFrames Open(string place, double? framesPerSecond)
    {
        ArgumentException.ThrowIfNullOrEmpty(place);
        string[] files = Directory.Exists(place)
            ? [.. Directory.EnumerateFiles(place).Where(file => Extensions.Contains(Path.GetExtension(file).ToLowerInvariant())).Order(StringComparer.Ordinal)]
            : place.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return new VideoFrames(files, framesPerSecond, place);
    }

    /// <summary>Reads a frame.</summary>
    /// <exception cref="ImageException">The file cannot be used.</exception>
    public RgbImage Load(int frame) => ImageDecoder.Load(files[frame]);
}

namespace Bitsmith.Models.Images;

/// <summary>What a picture file may ask for. A few bytes can promise a huge picture; these limits are checked before anything is allocated.</summary>
public sealed record ImageLimits
{
    /// <summary>What one array of RGB bytes can hold; a higher limit has no effect.</summary>
    private const long MostPixels = 700_000_000;

    /// <summary>The limits used when the caller gives none.</summary>
    public static ImageLimits Default { get; } = new();

    /// <summary>Largest width times height, in pixels; 64 million by default, which takes 192 MB as RGB.</summary>
    public long MaxPixels { get; init; } = 64_000_000;

    /// <summary>Largest file in bytes; 256 MiB by default.</summary>
    public long MaxFileBytes { get; init; } = 256L << 20;

    internal void Check(string source, int width, int height)
    {
        long limit = Math.Min(MaxPixels, MostPixels);
        if ((long)width * height > limit)
        {
            throw new ImageException(source, ImageProblem.TooLarge,
                $"the header promises {width} x {height} = {(long)width * height} pixels, more than the limit of {limit}. Scale the picture down, or raise the limit.");
        }
    }
}

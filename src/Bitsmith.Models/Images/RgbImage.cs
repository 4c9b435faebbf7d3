namespace Bitsmith.Models.Images;

/// <summary>A picture as rows of RGB bytes, top row first, without padding between rows.</summary>
public sealed class RgbImage
{
    private readonly byte[] pixels;

    /// <summary>Takes over an array of pixels.</summary>
    /// <param name="width">Pixels in a row, at least 1.</param>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="pixels">height x width x 3 bytes; not copied.</param>
    /// <param name="source">The file or whatever names the picture in messages.</param>
    /// <exception cref="ArgumentException">The sizes do not fit each other.</exception>
    public RgbImage(int width, int height, byte[] pixels, string source = "picture")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentNullException.ThrowIfNull(pixels);
        if ((long)width * height * 3 != pixels.Length)
        {
            throw new ArgumentException($"{width} x {height} pixels take {(long)width * height * 3} bytes, found {pixels.Length}.", nameof(pixels));
        }

        Width = width;
        Height = height;
        Source = source;
        this.pixels = pixels;
    }

    /// <summary>Pixels in a row.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>The file or whatever names the picture in messages.</summary>
    public string Source { get; }

    /// <summary>All bytes, [height, width, 3].</summary>
    public ReadOnlySpan<byte> Pixels => pixels;

    /// <summary>One row, [width, 3].</summary>
    /// <param name="y">The row, counted from the top.</param>
    public ReadOnlySpan<byte> Row(int y) => pixels.AsSpan(y * Width * 3, Width * 3);
}

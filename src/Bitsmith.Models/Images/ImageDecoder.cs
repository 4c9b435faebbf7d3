using Bitsmith.Models.Images.Jpeg;
using Bitsmith.Models.Images.Png;

namespace Bitsmith.Models.Images;

/// <summary>
/// Reads picture files: PNG and JPEG. The pixels equal those of Pillow's <c>Image.open(file).convert("RGB")</c>, on which the models' own
/// preprocessing rests: alpha is dropped, not blended.
/// </summary>
public static class ImageDecoder
{
    /// <summary>Reads a picture file.</summary>
    /// <param name="path">A PNG or JPEG file; the content decides, not the name.</param>
    /// <param name="limits">What the file may ask for; <see cref="ImageLimits.Default"/> when null.</param>
    /// <param name="applyExifOrientation">Turn the picture upright as its EXIF data asks, as transformers does when it loads one.</param>
    /// <exception cref="ImageException">The file is missing, damaged, of another format, or too large.</exception>
    public static RgbImage Load(string path, ImageLimits? limits = null, bool applyExifOrientation = true)
    {
        ArgumentNullException.ThrowIfNull(path);
        limits ??= ImageLimits.Default;
        byte[] data;
        try
        {
            // Just as many bytes as the file says it has: a device can go on forever.
            using FileStream file = File.OpenRead(path);
            if (file.Length > limits.MaxFileBytes)
            {
                throw TooManyBytes(path, file.Length, limits);
            }

            data = new byte[file.Length];
            file.ReadExactly(data);
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ImageException(path, ImageProblem.Unreadable, "this picture is missing. Check the path.", missing);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new ImageException(path, ImageProblem.Unreadable, $"cannot be read: {problem.Message}", problem);
        }

        return Decode(data, path, limits, applyExifOrientation);
    }

    /// <summary>Decodes the bytes of a picture file.</summary>
    /// <param name="data">The whole file.</param>
    /// <param name="source">What to call it in messages: a path, or for example <c>image 2 of the request</c>.</param>
    /// <param name="limits">What the file may ask for; <see cref="ImageLimits.Default"/> when null.</param>
    /// <param name="applyExifOrientation">Turn the picture upright as its EXIF data asks.</param>
    /// <exception cref="ImageException">The file is damaged, of another format, or too large.</exception>
    public static RgbImage Decode(ReadOnlySpan<byte> data, string source, ImageLimits? limits = null, bool applyExifOrientation = true)
    {
        ArgumentNullException.ThrowIfNull(source);
        limits ??= ImageLimits.Default;
        if (data.Length > limits.MaxFileBytes)
        {
            throw TooManyBytes(source, data.Length, limits);
        }

        (RgbImage image, ExifOrientation orientation) = ImageFormats.Detect(data) switch
        {
            ImageFormats.Png => PngDecoder.Decode(data, source, limits),
            ImageFormats.Jpeg => JpegDecoder.Decode(data, source, limits),
            string other => throw ImageException.NotSupported(source, $"is a picture in {other} format, which is not supported; PNG and JPEG are."),
            null when data.IsEmpty => throw ImageException.Damaged(source, "is empty, expected a PNG or JPEG picture."),
            null => throw ImageException.NotSupported(source,
                $"begins with bytes {Convert.ToHexString(data[..Math.Min(8, data.Length)])}, which is no known picture format; PNG and JPEG are supported."),
        };
        return applyExifOrientation ? image.ApplyExifOrientation(orientation) : image;
    }

    private static ImageException TooManyBytes(string source, long length, ImageLimits limits) =>
        new(source, ImageProblem.TooLarge, $"has {length} bytes, more than the limit of {limits.MaxFileBytes}. Save the picture smaller, or raise the limit.");
}

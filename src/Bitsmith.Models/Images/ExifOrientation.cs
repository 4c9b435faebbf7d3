namespace Bitsmith.Models.Images;

/// <summary>How a stored picture must be turned to stand upright: tag 0x0112 of EXIF (JEITA CP-3451, 4.6.4 A). The names say what has to be done.</summary>
public enum ExifOrientation
{
    /// <summary>Nothing to do.</summary>
    Upright = 1,

    /// <summary>Mirror left and right.</summary>
    MirrorHorizontally = 2,

    /// <summary>Turn by 180 degrees.</summary>
    Rotate180 = 3,

    /// <summary>Mirror top and bottom.</summary>
    MirrorVertically = 4,

    /// <summary>Exchange rows and columns.</summary>
    Transpose = 5,

    /// <summary>Turn by 90 degrees clockwise.</summary>
    Rotate90Clockwise = 6,

    /// <summary>Exchange rows and columns, then turn by 180 degrees.</summary>
    Transverse = 7,

    /// <summary>Turn by 90 degrees counterclockwise.</summary>
    Rotate90Counterclockwise = 8,
}

/// <summary>Turns pictures upright.</summary>
public static class ExifOrientations
{
    /// <summary>Returns the picture turned as the orientation asks; the same object for <see cref="ExifOrientation.Upright"/>.</summary>
    /// <param name="image">The picture as it was stored.</param>
    /// <param name="orientation">What the file says about it.</param>
    public static RgbImage ApplyExifOrientation(this RgbImage image, ExifOrientation orientation)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (orientation is < ExifOrientation.MirrorHorizontally or > ExifOrientation.Rotate90Counterclockwise)
        {
            return image;
        }

        bool swapped = orientation >= ExifOrientation.Transpose;
        int width = swapped ? image.Height : image.Width;
        int height = swapped ? image.Width : image.Height;
        int right = image.Width - 1, bottom = image.Height - 1;

        // Where the upper left pixel of the result lies in the source, and how far one step right and one step down lead there.
        (int startX, int startY, int rightX, int rightY, int downX, int downY) = orientation switch
        {
            ExifOrientation.MirrorHorizontally => (right, 0, -1, 0, 0, 1),
            ExifOrientation.Rotate180 => (right, bottom, -1, 0, 0, -1),
            ExifOrientation.MirrorVertically => (0, bottom, 1, 0, 0, -1),
            ExifOrientation.Transpose => (0, 0, 0, 1, 1, 0),
            ExifOrientation.Rotate90Clockwise => (0, bottom, 0, -1, 1, 0),
            ExifOrientation.Transverse => (right, bottom, 0, -1, -1, 0),
            _ => (right, 0, 0, 1, -1, 0),
        };

        ReadOnlySpan<byte> source = image.Pixels;
        byte[] turned = new byte[source.Length];
        int step = 3 * ((rightY * image.Width) + rightX);
        int target = 0;
        for (int y = 0; y < height; y++)
        {
            int from = 3 * (((startY + (y * downY)) * image.Width) + startX + (y * downX));
            for (int x = 0; x < width; x++, from += step, target += 3)
            {
                turned[target] = source[from];
                turned[target + 1] = source[from + 1];
                turned[target + 2] = source[from + 2];
            }
        }

        return new RgbImage(width, height, turned, image.Source);
    }
}

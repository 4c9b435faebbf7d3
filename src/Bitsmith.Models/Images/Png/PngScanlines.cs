using System.IO.Compression;

namespace Bitsmith.Models.Images.Png;

/// <summary>Inflates the rows of a PNG, undoes their filters (ISO/IEC 15948, clause 9) and puts their pixels where they belong.</summary>
internal static class PngScanlines
{
    public static byte[] Read(PngHeader header, ReadOnlySpan<byte> palette, Stream compressed, string source)
    {
        byte[] pixels = new byte[checked(header.Width * header.Height * 3)];
        int pixelBytes = Math.Max(1, header.BitsPerPixel / 8); // the filters' distance to "the pixel on the left", 9.2
        int longest = (int)header.RowBytes(header.Width);
        byte[] row = new byte[longest + 1], above = new byte[longest + 1];
        byte[] rgb = new byte[header.Width * 3];
        PngPixels convert = new(header, palette, source);
        try
        {
            using ZLibStream inflated = new(compressed, CompressionMode.Decompress);
            foreach (PngPass pass in PngPass.Of(header))
            {
                int length = (int)header.RowBytes(pass.Width) + 1;
                Array.Clear(above);
                for (int y = 0; y < pass.Height; y++)
                {
                    int got = inflated.ReadAtLeast(row.AsSpan(0, length), length, throwOnEndOfStream: false);
                    if (got < length)
                    {
                        throw ImageException.Damaged(source,
                            $"the pixel data end in row {pass.StartY + (y * pass.StepY)} of {header.Height}, fewer than IHDR promises.");
                    }

                    Unfilter(row[0], row.AsSpan(1, length - 1), above.AsSpan(1, length - 1), pixelBytes, source);
                    int target = 3 * (((pass.StartY + (y * pass.StepY)) * header.Width) + pass.StartX);
                    if (pass.StepX == 1)
                    {
                        convert.ToRgb(row.AsSpan(1, length - 1), pixels.AsSpan(target, pass.Width * 3));
                    }
                    else
                    {
                        convert.ToRgb(row.AsSpan(1, length - 1), rgb.AsSpan(0, pass.Width * 3));
                        Spread(rgb.AsSpan(0, pass.Width * 3), pixels.AsSpan(target), pass.StepX * 3);
                    }

                    (row, above) = (above, row);
                }
            }

            // Reading on makes the stream compare its Adler-32 value.
            if (inflated.ReadByte() >= 0)
            {
                throw ImageException.Damaged(source, $"there are more pixel data than the {header.Width} x {header.Height} pixels of IHDR take.");
            }
        }
        catch (Exception problem) when (problem is InvalidDataException or IOException)
        {
            throw ImageException.Damaged(source, $"the compressed pixel data are broken: {problem.Message}", problem);
        }

        return pixels;
    }

    private static void Spread(ReadOnlySpan<byte> rgb, Span<byte> pixels, int step)
    {
        for (int from = 0, to = 0; from < rgb.Length; from += 3, to += step)
        {
            pixels[to] = rgb[from];
            pixels[to + 1] = rgb[from + 1];
            pixels[to + 2] = rgb[from + 2];
        }
    }

    /// <summary>Turns a filtered row into the row itself; arithmetic is modulo 256.</summary>
    private static void Unfilter(byte filter, Span<byte> row, ReadOnlySpan<byte> above, int pixelBytes, string source)
    {
        int first = Math.Min(pixelBytes, row.Length);
        switch (filter)
        {
            case 0:
                break;
            case 1: // Sub
                for (int i = pixelBytes; i < row.Length; i++)
                {
                    row[i] += row[i - pixelBytes];
                }

                break;
            case 2: // Up
                for (int i = 0; i < row.Length; i++)
                {
                    row[i] += above[i];
                }

                break;
            case 3: // Average
                for (int i = 0; i < first; i++)
                {
                    row[i] += (byte)(above[i] >> 1);
                }

                for (int i = pixelBytes; i < row.Length; i++)
                {
                    row[i] += (byte)((row[i - pixelBytes] + above[i]) >> 1);
                }

                break;
            case 4: // Paeth
                for (int i = 0; i < first; i++)
                {
                    row[i] += above[i];
                }

                for (int i = pixelBytes; i < row.Length; i++)
                {
                    row[i] += Paeth(row[i - pixelBytes], above[i], above[i - pixelBytes]);
                }

                break;
            default:
                throw ImageException.Damaged(source, $"a row has filter type {filter}, expected 0 to 4.");
        }
    }

    /// <summary>The neighbour that is nearest to left + up - corner; ties go to left, then up (9.4).</summary>
    private static byte Paeth(int left, int up, int corner)
    {
        int toLeft = Math.Abs(up - corner), toUp = Math.Abs(left - corner), toCorner = Math.Abs(left + up - (2 * corner));
        return (byte)(toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner);
    }
}

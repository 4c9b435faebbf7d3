namespace Bitsmith.Models.Images.Png;

/// <summary>
/// Turns rows of PNG samples into RGB as Pillow's <c>convert("RGB")</c> does: alpha and tRNS are dropped; gray of 1, 2 and 4 bits is stretched
/// to 0..255; 16-bit colour and 16-bit gray with alpha keep the high byte; 16-bit gray without alpha is clipped at 255, as Pillow
/// treats such samples as numbers and not as shades.
/// </summary>
internal readonly ref struct PngPixels(PngHeader header, ReadOnlySpan<byte> palette, string source)
{
    private readonly PngHeader header = header;
    private readonly ReadOnlySpan<byte> palette = palette;
    private readonly string source = source;

    /// <summary>Converts one row; its number of pixels is a third of the target's length.</summary>
    public void ToRgb(ReadOnlySpan<byte> row, Span<byte> rgb)
    {
        int sampleBytes = header.BitDepth / 8;
        switch (header.Color)
        {
            case PngColor.Palette:
                FromPalette(row, rgb);
                break;
            case PngColor.Gray when header.BitDepth == 16:
                for (int x = 0; x < rgb.Length / 3; x++)
                {
                    rgb.Slice(3 * x, 3).Fill(row[2 * x] == 0 ? row[(2 * x) + 1] : byte.MaxValue);
                }

                break;
            case PngColor.Gray:
                int stretch = 255 / ((1 << header.BitDepth) - 1);
                for (int x = 0; x < rgb.Length / 3; x++)
                {
                    rgb.Slice(3 * x, 3).Fill((byte)(Sample(row, x) * stretch));
                }

                break;
            case PngColor.GrayAlpha:
                for (int x = 0; x < rgb.Length / 3; x++)
                {
                    rgb.Slice(3 * x, 3).Fill(row[2 * sampleBytes * x]);
                }

                break;
            case PngColor.Rgb when header.BitDepth == 8:
                row[..rgb.Length].CopyTo(rgb);
                break;
            default:
                int pixelBytes = header.BitsPerPixel / 8;
                for (int from = 0, to = 0; to < rgb.Length; from += pixelBytes, to += 3)
                {
                    rgb[to] = row[from];
                    rgb[to + 1] = row[from + sampleBytes];
                    rgb[to + 2] = row[from + (2 * sampleBytes)];
                }

                break;
        }
    }

    private void FromPalette(ReadOnlySpan<byte> row, Span<byte> rgb)
    {
        for (int x = 0; x < rgb.Length / 3; x++)
        {
            int color = Sample(row, x);
            if (3 * color >= palette.Length)
            {
                throw ImageException.Damaged(source, $"a pixel uses colour {color} of the palette, which has {palette.Length / 3}.");
            }

            palette.Slice(3 * color, 3).CopyTo(rgb[(3 * x)..]);
        }
    }

    /// <summary>The sample of one pixel with one sample of at most 8 bits; the leftmost pixel takes the high bits of a byte (7.2).</summary>
    private int Sample(ReadOnlySpan<byte> row, int x)
    {
        int bit = x * header.BitDepth;
        return (row[bit >> 3] >> (8 - header.BitDepth - (bit & 7))) & ((1 << header.BitDepth) - 1);
    }
}

using System.Buffers.Binary;

namespace Bitsmith.Models.Images.Png;

/// <summary>Colour types of PNG (ISO/IEC 15948, table 11.1): bit 0 palette, bit 1 colour, bit 2 alpha.</summary>
internal enum PngColor : byte
{
    Gray = 0,
    Rgb = 2,
    Palette = 3,
    GrayAlpha = 4,
    RgbAlpha = 6,
}

/// <summary>The IHDR chunk (11.2.2), checked.</summary>
internal readonly record struct PngHeader(int Width, int Height, int BitDepth, PngColor Color, bool Interlaced)
{
    public const int Bytes = 13;

    public int BitsPerPixel => BitDepth * Color switch
    {
        PngColor.Gray or PngColor.Palette => 1,
        PngColor.GrayAlpha => 2,
        PngColor.Rgb => 3,
        _ => 4,
    };

    /// <summary>Bytes of a row of so many pixels, without the filter byte.</summary>
    public long RowBytes(int width) => (((long)width * BitsPerPixel) + 7) / 8;

    /// <summary>Bytes of the whole picture after inflating, filter bytes included.</summary>
    public long RawBytes()
    {
        long bytes = 0;
        foreach (PngPass pass in PngPass.Of(this))
        {
            bytes += (RowBytes(pass.Width) + 1) * pass.Height;
        }

        return bytes;
    }

    public static PngHeader Parse(ReadOnlySpan<byte> chunk, string source)
    {
        uint width = BinaryPrimitives.ReadUInt32BigEndian(chunk), height = BinaryPrimitives.ReadUInt32BigEndian(chunk[4..]);
        if (width is 0 or > int.MaxValue || height is 0 or > int.MaxValue)
        {
            throw ImageException.Damaged(source, $"IHDR gives a size of {width} x {height}, expected 1 to {int.MaxValue} each.");
        }

        int depth = chunk[8];
        var color = (PngColor)chunk[9];
        bool known = color switch
        {
            PngColor.Gray => depth is 1 or 2 or 4 or 8 or 16,
            PngColor.Palette => depth is 1 or 2 or 4 or 8,
            PngColor.Rgb or PngColor.GrayAlpha or PngColor.RgbAlpha => depth is 8 or 16,
            _ => false,
        };
        if (!known)
        {
            throw ImageException.Damaged(source, $"IHDR gives colour type {(int)color} with {depth} bits, a combination that PNG does not have.");
        }

        if (chunk[10] != 0 || chunk[11] != 0 || chunk[12] > 1)
        {
            throw ImageException.NotSupported(source,
                $"IHDR asks for compression {chunk[10]}, filter {chunk[11]}, interlace {chunk[12]}; PNG defines 0, 0 and 0 or 1.");
        }

        return new PngHeader((int)width, (int)height, depth, color, chunk[12] == 1);
    }
}

/// <summary>One of the reduced pictures of Adam7 (8.2): every <paramref name="StepX"/>-th pixel of every <paramref name="StepY"/>-th row.</summary>
internal readonly record struct PngPass(int StartX, int StartY, int StepX, int StepY, int Width, int Height)
{
    /// <summary>The seven passes, or the one of a picture that is not interlaced; passes without pixels are left out.</summary>
    public static List<PngPass> Of(PngHeader header)
    {
        ReadOnlySpan<(int StartX, int StartY, int StepX, int StepY)> steps = header.Interlaced
            ? [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
            : [(0, 0, 1, 1)];
        List<PngPass> passes = [];
        foreach ((int startX, int startY, int stepX, int stepY) in steps)
        {
            int width = (int)(((long)header.Width - startX + stepX - 1) / stepX);
            int height = (int)(((long)header.Height - startY + stepY - 1) / stepY);
            if (width > 0 && height > 0)
            {
                passes.Add(new PngPass(startX, startY, stepX, stepY, width, height));
            }
        }

        return passes;
    }
}

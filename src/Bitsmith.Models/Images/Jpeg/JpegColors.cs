namespace Bitsmith.Models.Images.Jpeg;

/// <summary>What the components of a JPEG mean.</summary>
internal enum JpegColorSpace
{
    Gray,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

/// <summary>Brings the components of a JPEG to full size and turns them into RGB.</summary>
internal static class JpegColors
{
    // round(x * 2^16) of the JFIF equations R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb
    private const int CrToRed = 91881, CbToGreen = 22554, CrToGreen = 46802, CbToBlue = 116130;
    private const int Half = 1 << 15;

    /// <summary>
    /// The file does not say outright what its components mean; these are libjpeg's rules: JFIF means YCbCr, Adobe's marker names the transform,
    /// and without both the numbers of the components decide.
    /// </summary>
    public static JpegColorSpace SpaceOf(JpegFrame frame, bool hasJfif, int? adobeTransform)
    {
        JpegComponent[] components = frame.Components;
        return components.Length switch
        {
            1 => JpegColorSpace.Gray,
            3 when hasJfif => JpegColorSpace.YCbCr,
            3 when adobeTransform is not null => adobeTransform == 0 ? JpegColorSpace.Rgb : JpegColorSpace.YCbCr,
            3 => components[0].Id == 'R' && components[1].Id == 'G' && components[2].Id == 'B' ? JpegColorSpace.Rgb : JpegColorSpace.YCbCr,
            _ => adobeTransform is null or 0 ? JpegColorSpace.Cmyk : JpegColorSpace.Ycck,
        };
    }

    public static byte[] ToRgb(JpegFrame frame, JpegColorSpace space, string source)
    {
        JpegUpsampler[] upsamplers = [.. frame.Components.Select(component => new JpegUpsampler(frame, component, source))];
        byte[] pixels = new byte[checked(frame.Width * frame.Height * 3)];
        for (int y = 0; y < frame.Height; y++)
        {
            Span<byte> target = pixels.AsSpan(y * frame.Width * 3, frame.Width * 3);
            ReadOnlySpan<byte> first = upsamplers[0].Row(y)[..frame.Width];
            if (space == JpegColorSpace.Gray)
            {
                for (int x = 0; x < first.Length; x++)
                {
                    target.Slice(3 * x, 3).Fill(first[x]);
                }

                continue;
            }

            ReadOnlySpan<byte> second = upsamplers[1].Row(y)[..frame.Width], third = upsamplers[2].Row(y)[..frame.Width];
            if (space is JpegColorSpace.YCbCr or JpegColorSpace.Ycck)
            {
                FromYCbCr(first, second, third, target);
            }
            else
            {
                for (int x = 0, to = 0; x < first.Length; x++, to += 3)
                {
                    target[to] = first[x];
                    target[to + 1] = second[x];
                    target[to + 2] = third[x];
                }
            }

            if (space is JpegColorSpace.Cmyk or JpegColorSpace.Ycck)
            {
                ApplyBlack(target, upsamplers[3].Row(y)[..frame.Width], isInk: space == JpegColorSpace.Ycck);
            }
        }

        return pixels;
    }

    private static void FromYCbCr(ReadOnlySpan<byte> luma, ReadOnlySpan<byte> blue, ReadOnlySpan<byte> red, Span<byte> rgb)
    {
        blue = blue[..luma.Length];
        red = red[..luma.Length];
        for (int x = 0, to = 0; x < luma.Length; x++, to += 3)
        {
            int y = luma[x], cb = blue[x] - 128, cr = red[x] - 128;
            rgb[to] = Clip(y + (((CrToRed * cr) + Half) >> 16));
            rgb[to + 1] = Clip(y + ((Half - (CbToGreen * cb) - (CrToGreen * cr)) >> 16));
            rgb[to + 2] = Clip(y + (((CbToBlue * cb) + Half) >> 16));
        }
    }

    /// <summary>
    /// Multiplies the colours by the black channel. Pillow takes all four channels as Adobe writes them, that is 255 for no ink; the RGB out of YCCK
    /// counts the other way round (libjpeg: C = 255 - R).
    /// </summary>
    private static void ApplyBlack(Span<byte> rgb, ReadOnlySpan<byte> black, bool isInk)
    {
        for (int x = 0, to = 0; x < black.Length; x++)
        {
            for (int channel = 0; channel < 3; channel++, to++)
            {
                // With ink c = 255 - stored value: white minus c, both scaled by what black leaves, with Pillow's rounding of a product of bytes.
                int ink = isInk ? rgb[to] : 255 - rgb[to];
                int product = (ink * black[x]) + 128;
                rgb[to] = Clip(black[x] - (((product >> 8) + product) >> 8));
            }
        }
    }

    private static byte Clip(int value) => (byte)Math.Clamp(value, 0, 255);
}

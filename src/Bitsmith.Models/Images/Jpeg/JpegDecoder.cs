namespace Bitsmith.Models.Images.Jpeg;

/// <summary>
/// Reads JPEG files (ITU-T T.81): sequential and progressive Huffman coding with 8 bits, any sampling with whole factors, gray, YCbCr, RGB, CMYK and YCCK.
/// Integer transform, "fancy" upsampling and colour tables are those of libjpeg, so that complete files give the bytes that
/// libjpeg-turbo, and so Pillow, gives. Where those repair a damaged file by guessing, this stops with an error. One sound kind of file differs:
/// a progressive one whose scans never bring all bits is smoothed between blocks by libjpeg and is not here.
/// </summary>
internal static class JpegDecoder
{
    public static (RgbImage Image, ExifOrientation Orientation) Decode(ReadOnlySpan<byte> data, string source, ImageLimits limits)
    {
        JpegSegments segments = new(data, source);
        JpegTables tables = new();
        JpegFrame? frame = null;
        ExifOrientation? exif = null, xmp = null;
        bool hasJfif = false, afterScan = false;
        int? adobeTransform = null;
        while (true)
        {
            segments.Next(afterScan);
            afterScan = false;
            ReadOnlySpan<byte> content = segments.Content;
            switch (segments.Marker)
            {
                case JpegMarker.DefineQuantization:
                    tables.DefineQuantization(segments);
                    break;
                case JpegMarker.DefineHuffman:
                    tables.DefineHuffman(segments);
                    break;
                case JpegMarker.DefineRestart:
                    tables.DefineRestart(segments);
                    break;
                case JpegMarker.App0:
                    hasJfif |= content.StartsWith("JFIF\0"u8);
                    break;
                case JpegMarker.App1 when content.StartsWith("Exif\0\0"u8):
                    exif ??= ExifReader.FromTiff(content[6..]);
                    break;
                case JpegMarker.App1 when content.StartsWith("http://ns.adobe.com/xap/1.0/\0"u8):
                    xmp ??= ExifReader.FromXmp(content);
                    break;
                case JpegMarker.App14 when content.StartsWith("Adobe"u8) && content.Length >= 12:
                    adobeTransform = content[11];
                    break;
                case JpegMarker.Hierarchical or JpegMarker.Expand:
                    throw ImageException.NotSupported(source, "is a hierarchical JPEG; baseline and progressive ones are supported.");
                case JpegMarker.Start:
                    throw segments.Damaged("a second picture begins inside the first.");
                case JpegMarker.StartOfScan:
                    DecodeScan(ref segments, data, frame ?? throw segments.Damaged("a scan before the frame header."), tables, source);
                    afterScan = true;
                    break;
                case JpegMarker.End:
                    RgbImage image = Finish(frame ?? throw segments.Damaged("the end before any pixels."), hasJfif, adobeTransform, source);
                    return (image, exif ?? xmp ?? ExifOrientation.Upright);
                case JpegMarker.JpegLsFrame:
                case >= JpegMarker.Baseline and <= JpegMarker.LastFrame when segments.Marker is not (JpegMarker.JpegExtension or JpegMarker.DefineArithmetic):
                    if (frame is not null)
                    {
                        throw segments.Damaged("a second frame header.");
                    }

                    frame = JpegFrame.Parse(segments, source, limits);
                    Allocate(frame, data.Length - segments.Position, source);
                    break;
                default:
                    break; // comments, other application data, restart markers left over
            }
        }
    }

    private static void Allocate(JpegFrame frame, int bytesLeft, string source)
    {
        // A block takes at least one bit, in the scan that brings its DC value: a short file cannot make this allocate much.
        long blocks = frame.Components.Sum(component => (long)component.BlocksWide * component.BlocksHigh);
        if (blocks > 8L * bytesLeft)
        {
            throw ImageException.Damaged(source,
                $"the frame header promises {frame.Width} x {frame.Height} pixels in {blocks} blocks, and {bytesLeft} bytes cannot hold so many.");
        }

        foreach (JpegComponent component in frame.Components)
        {
            int samples = checked(component.PaddedBlocksWide * component.PaddedBlocksHigh * 64);
            if (frame.IsProgressive)
            {
                component.Coefficients = new short[samples];
            }
            else
            {
                component.Samples = new byte[samples];
            }
        }
    }

    private static void DecodeScan(ref JpegSegments segments, ReadOnlySpan<byte> data, JpegFrame frame, JpegTables tables, string source)
    {
        JpegScan scan = JpegScan.Parse(segments, frame, tables);
        if (frame.IsProgressive)
        {
            ProgressiveBlocks blocks = new(scan);
            segments.Position = scan.Decode(data, segments.Position, ref blocks, source);
        }
        else
        {
            SequentialBlocks blocks = new();
            segments.Position = scan.Decode(data, segments.Position, ref blocks, source);
        }
    }

    private static RgbImage Finish(JpegFrame frame, bool hasJfif, int? adobeTransform, string source)
    {
        foreach (JpegComponent component in frame.Components)
        {
            if (component.BitsRead[0] < 0)
            {
                throw ImageException.Damaged(source, $"no scan brings the pixels of component {component.Id}.");
            }

            if (frame.IsProgressive)
            {
                Transform(component);
            }
        }

        byte[] pixels = JpegColors.ToRgb(frame, JpegColors.SpaceOf(frame, hasJfif, adobeTransform), source);
        return new RgbImage(frame.Width, frame.Height, pixels, source);
    }

    private static void Transform(JpegComponent component)
    {
        component.Samples = new byte[component.Coefficients.Length];
        int block = 0;
        for (int row = 0; row < component.PaddedBlocksHigh; row++)
        {
            for (int column = 0; column < component.PaddedBlocksWide; column++, block += 64)
            {
                int start = (row * 8 * component.Stride) + (column * 8);
                InverseDct.Transform(component.Coefficients.AsSpan(block, 64), component.Quantization!, component.Samples.AsSpan(start), component.Stride);
            }
        }

        component.Coefficients = []; // twice the size of the samples, and not needed any more
    }
}

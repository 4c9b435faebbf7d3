namespace Bitsmith.Models.Images;

/// <summary>Tells picture formats apart by their first bytes, so that an error can name the format.</summary>
internal static class ImageFormats
{
    public const string Png = "PNG";
    public const string Jpeg = "JPEG";

    /// <summary>The format's name, or null for bytes that no known format begins with.</summary>
    public static string? Detect(ReadOnlySpan<byte> data)
    {
        if (data.StartsWith(PngSignature))
        {
            return Png;
        }

        if (data.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]))
        {
            return Jpeg;
        }

        if (data.Length >= 12 && data.StartsWith("RIFF"u8) && data[8..12].SequenceEqual("WEBP"u8))
        {
            return "WebP";
        }

        // ISO base media files (ISO/IEC 14496-12, 4.3) name their brand behind "ftyp".
        if (data.Length >= 12 && data[4..8].SequenceEqual("ftyp"u8))
        {
            ReadOnlySpan<byte> brand = data[8..12];
            return brand.SequenceEqual("avif"u8) || brand.SequenceEqual("avis"u8) ? "AVIF"
                : brand.SequenceEqual("heic"u8) || brand.SequenceEqual("heix"u8) || brand.SequenceEqual("hevc"u8)
                    || brand.SequenceEqual("mif1"u8) || brand.SequenceEqual("msf1"u8) ? "HEIC/HEIF"
                : "MP4 or another ISO media";
        }

        foreach ((byte[] start, string name) in Others)
        {
            if (data.StartsWith(start))
            {
                return name;
            }
        }

        return null;
    }

    internal static ReadOnlySpan<byte> PngSignature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    private static IEnumerable<(byte[] Start, string Name)> Others =>
    [
        ("GIF87a"u8.ToArray(), "GIF"),
        ("GIF89a"u8.ToArray(), "GIF"),
        ("BM"u8.ToArray(), "BMP"),
        ([(byte)'I', (byte)'I', 42, 0], "TIFF"),
        ([(byte)'M', (byte)'M', 0, 42], "TIFF"),
        ([0, 0, 0, 12, (byte)'J', (byte)'X', (byte)'L', (byte)' '], "JPEG XL"),
        ([0xFF, 0x0A], "JPEG XL"),
        ([0, 0, 0, 12, (byte)'j', (byte)'P', (byte)' ', (byte)' '], "JPEG 2000"),
        ([0xFF, 0x4F, 0xFF, 0x51], "JPEG 2000"),
        ([0x8A, (byte)'M', (byte)'N', (byte)'G'], "MNG"),
        ([0, 0, 1, 0], "ICO"),
        ("8BPS"u8.ToArray(), "Photoshop"),
        ("qoif"u8.ToArray(), "QOI"),
        ("<svg"u8.ToArray(), "SVG"),
        ("<?xml"u8.ToArray(), "SVG or another XML"),
        ("%PDF"u8.ToArray(), "PDF"),
    ];
}

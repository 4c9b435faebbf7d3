using System.Buffers.Binary;
using System.Text;

namespace Bitsmith.Models.Images.Png;

/// <summary>
/// Reads PNG files (ISO/IEC 15948, W3C PNG third edition): every colour type, bit depth and interlacing. Every chunk's CRC and the
/// chunk order are checked, and the pixel data must have exactly the size that the header promises. Bytes behind IEND are ignored, as
/// other readers do. Of an animated PNG the default picture is read. Orientation is taken from eXIf; the older habits of hiding it in text
/// chunks (XMP, "Raw profile type exif") are not followed.
/// </summary>
internal static class PngDecoder
{
    /// <summary>Deflate cannot make more than this many bytes out of one (258 bytes from 2 bits).</summary>
    private const int LargestExpansion = 1032;
    private const int PaletteEntries = 256;

    public static (RgbImage Image, ExifOrientation Orientation) Decode(ReadOnlySpan<byte> data, string source, ImageLimits limits)
    {
        PngChunks chunks = new(data, source);
        if (!chunks.Next())
        {
            throw ImageException.Damaged(source, "ends behind the PNG signature, expected the IHDR chunk.");
        }

        if (!chunks.Is("IHDR"u8))
        {
            throw chunks.Is("CgBI"u8)
                ? ImageException.NotSupported(source, "is a PNG in Apple's private form (chunk CgBI), which only its own devices read.")
                : ImageException.Damaged(source, $"the first chunk is {chunks.Name}, expected IHDR.");
        }

        chunks.RequireLength(PngHeader.Bytes);
        PngHeader header = PngHeader.Parse(chunks.Content, source);
        limits.Check(source, header.Width, header.Height);

        ReadOnlySpan<byte> palette = default;
        bool paletteSeen = false, transparencySeen = false, dataEnded = false;
        ExifOrientation? orientation = null;
        using MemoryStream compressed = new();
        while (true)
        {
            if (!chunks.Next())
            {
                throw ImageException.Damaged(source, $"ends at byte {data.Length} without an IEND chunk; it was cut off.");
            }

            bool isData = chunks.Is("IDAT"u8);
            dataEnded |= compressed.Length > 0 && !isData;
            if (isData)
            {
                if (dataEnded)
                {
                    throw chunks.Misplaced("all IDAT chunks must follow each other");
                }

                if (header.Color == PngColor.Palette && !paletteSeen)
                {
                    throw chunks.Misplaced("a picture with a palette needs a PLTE chunk before it");
                }

                compressed.Write(chunks.Content);
            }
            else if (chunks.Is("PLTE"u8))
            {
                if (paletteSeen || transparencySeen || dataEnded)
                {
                    throw chunks.Misplaced("expected once, before tRNS and IDAT");
                }

                paletteSeen = true;
                palette = chunks.Content;
                if (palette.Length is 0 or > 3 * PaletteEntries || palette.Length % 3 != 0)
                {
                    throw ImageException.Damaged(source, $"PLTE has {palette.Length} bytes, expected 3 for each of 1 to {PaletteEntries} colours.");
                }
            }
            else if (chunks.Is("tRNS"u8))
            {
                if (transparencySeen || dataEnded)
                {
                    throw chunks.Misplaced("expected once, before IDAT");
                }

                // Transparency is dropped like alpha; only its form is checked.
                transparencySeen = true;
                CheckTransparency(header, palette, chunks.Content.Length, source);
            }
            else if (chunks.Is("eXIf"u8))
            {
                orientation ??= ExifReader.FromTiff(chunks.Content);
            }
            else if (chunks.Is("IEND"u8))
            {
                chunks.RequireLength(0);
                break;
            }
            else if (chunks.Is("IHDR"u8))
            {
                throw chunks.Misplaced("expected once, as the first chunk");
            }
            else if (chunks.IsCritical)
            {
                throw ImageException.NotSupported(source, $"has the critical chunk {chunks.Name} at byte {chunks.Start}, which PNG does not define.");
            }
        }

        if (compressed.Length == 0)
        {
            throw ImageException.Damaged(source, "has no IDAT chunk, and so no pixels.");
        }

        long raw = header.RawBytes();
        if (raw / LargestExpansion > compressed.Length)
        {
            throw ImageException.Damaged(source,
                $"IHDR promises {header.Width} x {header.Height} pixels, {raw} bytes, and {compressed.Length} bytes of compressed data cannot hold so many.");
        }

        // ZLibStream does not mind a stream that ends inside its check value; with bytes behind the end it always compares the value.
        compressed.Write([0, 0, 0, 0]);
        compressed.Position = 0;
        byte[] pixels = PngScanlines.Read(header, palette, compressed, source);
        return (new RgbImage(header.Width, header.Height, pixels, source), orientation ?? ExifOrientation.Upright);
    }

    private static void CheckTransparency(PngHeader header, ReadOnlySpan<byte> palette, int length, string source)
    {
        bool fits = header.Color switch
        {
            PngColor.Gray => length == 2,
            PngColor.Rgb => length == 6,
            PngColor.Palette => length <= palette.Length / 3,
            _ => true, // forbidden beside alpha, but harmless: it is not used
        };
        if (!fits)
        {
            throw ImageException.Damaged(source,
                $"tRNS has {length} bytes, expected 2 for gray, 6 for RGB, at most one for each of the {palette.Length / 3} colours of a palette.");
        }
    }
}

/// <summary>Walks the chunks of a PNG file (5.3: length, type, content, CRC) and checks each.</summary>
internal ref struct PngChunks(ReadOnlySpan<byte> data, string source)
{
    private const int Overhead = 12;
    private readonly ReadOnlySpan<byte> data = data;
    private readonly string source = source;
    private int next = ImageFormats.PngSignature.Length;
    private ReadOnlySpan<byte> type;

    /// <summary>What the current chunk holds.</summary>
    public ReadOnlySpan<byte> Content { get; private set; }

    /// <summary>Where the current chunk starts in the file.</summary>
    public int Start { get; private set; }

    /// <summary>The type of the current chunk, for example IHDR.</summary>
    public readonly string Name => Encoding.ASCII.GetString(type);

    /// <summary>A reader that does not know a critical chunk must not go on (5.4: bit 5 of the first letter is 0).</summary>
    public readonly bool IsCritical => (type[0] & 0x20) == 0;

    public readonly bool Is(ReadOnlySpan<byte> name) => type.SequenceEqual(name);

    /// <summary>Goes to the next chunk; false at the end of the file.</summary>
    public bool Next()
    {
        Start = next;
        ReadOnlySpan<byte> rest = data[next..];
        if (rest.IsEmpty)
        {
            return false;
        }

        if (rest.Length < Overhead)
        {
            throw ImageException.Damaged(source, $"ends at byte {data.Length}, inside the chunk that starts at byte {Start}; it was cut off.");
        }

        uint length = BinaryPrimitives.ReadUInt32BigEndian(rest);
        type = rest[4..8];
        foreach (byte letter in type)
        {
            if (!char.IsAsciiLetter((char)letter))
            {
                throw ImageException.Damaged(source, $"expected a chunk at byte {Start}, found type {Convert.ToHexString(type)}, which is not four letters.");
            }
        }

        if (length > rest.Length - Overhead)
        {
            throw ImageException.Damaged(source, $"chunk {Name} at byte {Start} promises {length} bytes, the file has {rest.Length - Overhead} left; it was cut off.");
        }

        Content = rest.Slice(8, (int)length);
        uint stored = BinaryPrimitives.ReadUInt32BigEndian(rest[(8 + (int)length)..]);
        uint actual = Crc32.Of(rest.Slice(4, 4 + (int)length));
        if (stored != actual)
        {
            throw ImageException.Damaged(source, $"chunk {Name} at byte {Start} has check value {actual:X8}, expected {stored:X8}.");
        }

        next += Overhead + (int)length;
        return true;
    }

    public readonly void RequireLength(int length)
    {
        if (Content.Length != length)
        {
            throw ImageException.Damaged(source, $"chunk {Name} at byte {Start} has {Content.Length} bytes, expected {length}.");
        }
    }

    public readonly ImageException Misplaced(string rule) =>
        ImageException.Damaged(source, $"chunk {Name} at byte {Start} is misplaced: {rule}.");
}

using System.Buffers.Binary;

namespace Bitsmith.Models.Images;

/// <summary>
/// Finds the orientation in the side data of a picture. Side data is no part of the picture: whatever is wrong in it means "upright",
/// as in other programs.
/// </summary>
internal static class ExifReader
{
    private const ushort OrientationTag = 0x0112;
    private const int EntryBytes = 12;
    private const ushort TypeByte = 1, TypeShort = 3, TypeLong = 4;

    /// <summary>Reads the orientation from a TIFF structure (TIFF 6.0, section 2), which is what an EXIF block holds.</summary>
    public static ExifOrientation? FromTiff(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 8)
        {
            return null;
        }

        bool little = tiff.StartsWith("II"u8);
        if ((!little && !tiff.StartsWith("MM"u8)) || Short(tiff[2..], little) != 42)
        {
            return null;
        }

        uint directory = Long(tiff[4..], little);
        if (directory > tiff.Length - 2)
        {
            return null;
        }

        ReadOnlySpan<byte> entries = tiff[((int)directory + 2)..];
        int count = Math.Min(Short(tiff[(int)directory..], little), entries.Length / EntryBytes);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = entries.Slice(i * EntryBytes, EntryBytes);
            if (Short(entry, little) == OrientationTag)
            {
                return Known(Short(entry[2..], little) switch
                {
                    TypeByte => entry[8],
                    TypeShort => Short(entry[8..], little),
                    TypeLong => Long(entry[8..], little),
                    _ => 0,
                });
            }
        }

        return null;
    }

    /// <summary>Reads the orientation from XMP text: <c>tiff:Orientation="6"</c> or <c>tiff:Orientation&gt;6</c>.</summary>
    public static ExifOrientation? FromXmp(ReadOnlySpan<byte> xmp)
    {
        ReadOnlySpan<byte> name = "tiff:Orientation"u8;
        int at = xmp.IndexOf(name);
        if (at < 0)
        {
            return null;
        }

        ReadOnlySpan<byte> rest = xmp[(at + name.Length)..];
        int skip = rest.StartsWith("=\""u8) ? 2 : rest.StartsWith(">"u8) ? 1 : rest.Length;
        return skip < rest.Length ? Known((uint)(rest[skip] - '0')) : null;
    }

    private static ExifOrientation? Known(uint value) => value is >= 1 and <= 8 ? (ExifOrientation)value : null;

    private static ushort Short(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);

    private static uint Long(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : BinaryPrimitives.ReadUInt32BigEndian(bytes);
}

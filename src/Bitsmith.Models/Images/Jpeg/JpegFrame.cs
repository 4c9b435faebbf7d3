using System.Buffers.Binary;

namespace Bitsmith.Models.Images.Jpeg;

/// <summary>One component (Y, Cb, ...) of a JPEG picture.</summary>
internal sealed class JpegComponent
{
    public required byte Id { get; init; }

    /// <summary>Blocks of 8 x 8 samples in an MCU, horizontally and vertically.</summary>
    public required int Horizontal { get; init; }

    public required int Vertical { get; init; }

    public required int QuantizationIndex { get; init; }

    /// <summary>Samples that belong to the picture.</summary>
    public required int Width { get; init; }

    public required int Height { get; init; }

    /// <summary>Blocks in a row of the component alone, and with the padding of whole MCUs.</summary>
    public int BlocksWide => (Width + 7) / 8;

    public int BlocksHigh => (Height + 7) / 8;

    public required int PaddedBlocksWide { get; init; }

    public required int PaddedBlocksHigh { get; init; }

    public int Stride => PaddedBlocksWide * 8;

    /// <summary>Decoded samples, [PaddedBlocksHigh * 8, Stride].</summary>
    public byte[] Samples { get; set; } = [];

    /// <summary>Progressive only: coefficients in natural order, [PaddedBlocksHigh, PaddedBlocksWide, 64].</summary>
    public short[] Coefficients { get; set; } = [];

    /// <summary>The table that was in force when the first scan of this component began (T.81, B.2.4.1), in natural order; null before that.</summary>
    public ushort[]? Quantization { get; set; }

    /// <summary>For each coefficient the lowest bit that has been read, -1 before the first.</summary>
    public int[] BitsRead { get; } = [.. Enumerable.Repeat(-1, 64)];

    public HuffmanTable? DcTable { get; set; }

    public HuffmanTable? AcTable { get; set; }

    /// <summary>The DC value of the block before (F.2.1.3.1).</summary>
    public int Predictor { get; set; }
}

/// <summary>The frame header (ITU-T T.81, B.2.2), checked.</summary>
internal sealed class JpegFrame
{
    private const int HeaderBytes = 6, ComponentBytes = 3, LargestFactor = 4;

    public required int Width { get; init; }

    public required int Height { get; init; }

    public required bool IsProgressive { get; init; }

    public required JpegComponent[] Components { get; init; }

    public int MaxHorizontal => Components.Max(component => component.Horizontal);

    public int MaxVertical => Components.Max(component => component.Vertical);

    public int McusWide => CeilingDivide(Width, 8 * MaxHorizontal);

    public int McusHigh => CeilingDivide(Height, 8 * MaxVertical);

    public static JpegFrame Parse(in JpegSegments segments, string source, ImageLimits limits)
    {
        ReadOnlySpan<byte> content = segments.Content;
        RefuseOtherProcesses(segments.Marker, source);
        if (content.Length < HeaderBytes || content.Length != HeaderBytes + (ComponentBytes * content[5]))
        {
            throw segments.Damaged($"the frame header has {content.Length} bytes, which does not fit its number of components.");
        }

        int precision = content[0];
        if (precision != 8)
        {
            throw precision is 12 or 16
                ? ImageException.NotSupported(source, $"is a JPEG with {precision} bits for each sample; 8 are supported.")
                : segments.Damaged($"{precision} bits for each sample, expected 8.");
        }

        int height = BinaryPrimitives.ReadUInt16BigEndian(content[1..]), width = BinaryPrimitives.ReadUInt16BigEndian(content[3..]);
        if (height == 0)
        {
            throw ImageException.NotSupported(source, "is a JPEG that gives its height only behind the pixels (DNL marker).");
        }

        int count = content[5];
        if (width == 0 || count == 0)
        {
            throw segments.Damaged($"a picture of {width} x {height} with {count} components.");
        }

        if (count is not (1 or 3 or 4))
        {
            throw ImageException.NotSupported(source, $"is a JPEG with {count} components; 1 (gray), 3 (colour) and 4 (CMYK) are supported.");
        }

        limits.Check(source, width, height);
        return new JpegFrame
        {
            Width = width,
            Height = height,
            IsProgressive = segments.Marker == JpegMarker.Progressive,
            Components = ReadComponents(segments, width, height),
        };
    }

    /// <summary>The size of a part when the whole is cut into parts of the given size, rounded up.</summary>
    public static int CeilingDivide(int whole, int part) => (whole + part - 1) / part;

    private static JpegComponent[] ReadComponents(in JpegSegments segments, int width, int height)
    {
        int maxHorizontal = 1, maxVertical = 1;
        ReadOnlySpan<byte> list = segments.Content[HeaderBytes..];
        for (int i = 0; i < list.Length; i += ComponentBytes)
        {
            int horizontal = list[i + 1] >> 4, vertical = list[i + 1] & 15;
            if (horizontal is 0 or > LargestFactor || vertical is 0 or > LargestFactor || list[i + 2] > 3)
            {
                throw segments.Damaged($"component {list[i]} has sampling {horizontal} x {vertical} and quantization table {list[i + 2]}, expected 1 to 4 and 0 to 3.");
            }

            if (list[..i].Length > 0 && HasId(list[..i], list[i]))
            {
                throw segments.Damaged($"two components have the number {list[i]}.");
            }

            maxHorizontal = Math.Max(maxHorizontal, horizontal);
            maxVertical = Math.Max(maxVertical, vertical);
        }

        JpegComponent[] components = new JpegComponent[list.Length / ComponentBytes];
        for (int i = 0; i < components.Length; i++)
        {
            ReadOnlySpan<byte> entry = list.Slice(i * ComponentBytes, ComponentBytes);
            int horizontal = entry[1] >> 4, vertical = entry[1] & 15;
            components[i] = new JpegComponent
            {
                Id = entry[0],
                Horizontal = horizontal,
                Vertical = vertical,
                QuantizationIndex = entry[2],
                Width = CeilingDivide(width * horizontal, maxHorizontal),
                Height = CeilingDivide(height * vertical, maxVertical),
                PaddedBlocksWide = CeilingDivide(width, 8 * maxHorizontal) * horizontal,
                PaddedBlocksHigh = CeilingDivide(height, 8 * maxVertical) * vertical,
            };
        }

        return components;
    }

    private static bool HasId(ReadOnlySpan<byte> list, byte id)
    {
        for (int i = 0; i < list.Length; i += ComponentBytes)
        {
            if (list[i] == id)
            {
                return true;
            }
        }

        return false;
    }

    private static void RefuseOtherProcesses(int marker, string source)
    {
        string? process = marker switch
        {
            0xC3 => "lossless",
            0xC5 or 0xC6 or 0xC7 => "hierarchical",
            0xC9 or 0xCA or 0xCB or 0xCD or 0xCE or 0xCF => "arithmetic-coded",
            JpegMarker.JpegLsFrame => "JPEG-LS",
            _ => null,
        };
        if (process is not null)
        {
            throw ImageException.NotSupported(source, $"is a JPEG of the {process} kind (marker {marker:X2}); baseline and progressive Huffman-coded ones are supported.");
        }
    }
}

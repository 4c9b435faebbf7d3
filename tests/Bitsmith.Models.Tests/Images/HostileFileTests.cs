using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Png;

namespace Bitsmith.Models.Tests.Images;

/// <summary>Broken, foreign and malicious picture files.</summary>
public sealed class HostileFileTests
{
    private static readonly byte[] SmallPng = PictureFixtures.All["png color 2 depth 8"].File;
    private static readonly byte[] SmallJpeg = PictureFixtures.All["jpeg 4:2:0 quality 30"].File;
    private static readonly byte[] SmallProgressive = PictureFixtures.All["jpeg 4:2:0 quality 30 progressive"].File;

    [Theory]
    [InlineData("RIFF\u0001\u0001\u0001\u0001WEBPVP8 ", "WebP")]
    [InlineData("GIF89a\u0001\u0001", "GIF")]
    [InlineData("BM\u0001\u0001", "BMP")]
    [InlineData("\u0001\u0001\u0001\u0001ftypheic", "HEIC")]
    [InlineData("\u0001\u0001\u0001\u0001ftypavif", "AVIF")]
    [InlineData("II*\0\u0001", "TIFF")]
    [InlineData("<svg xmlns=", "SVG")]
    [InlineData("no picture", "6E6F2070")]
    public void Other_formats_are_named(string content, string word)
    {
        ImageException problem = Assert.Throws<ImageException>(() => ImageDecoder.Decode(Encoding.Latin1.GetBytes(content), "a.file"));
        Assert.Equal(ImageProblem.NotSupported, problem.Problem);
        Assert.Contains(word, problem.Message, StringComparison.Ordinal);
        Assert.StartsWith("a.file: ", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0xC3, "lossless")]
    [InlineData(0xC9, "arithmetic")]
    [InlineData(0xCA, "arithmetic")]
    [InlineData(0xC5, "hierarchical")]
    [InlineData(0xF7, "JPEG-LS")]
    public void Other_kinds_of_JPEG_are_named(byte marker, string word)
    {
        byte[] file = [.. SmallJpeg];
        file[FrameHeader(file)] = marker;
        AssertRefused(file, ImageProblem.NotSupported, word);
    }

    [Fact]
    public void JPEG_of_12_bits_is_not_supported()
    {
        byte[] file = [.. SmallJpeg];
        file[FrameHeader(file) + 3] = 12;
        AssertRefused(file, ImageProblem.NotSupported, "12 bits");
    }

    [Fact]
    public void Missing_and_empty_files_are_told_apart()
    {
        Assert.Equal(ImageProblem.Unreadable, Assert.Throws<ImageException>(() => ImageDecoder.Load("/nowhere/a.png")).Problem);
        Assert.Equal(ImageProblem.Unreadable, Assert.Throws<ImageException>(() => ImageDecoder.Load(AppContext.BaseDirectory)).Problem);
        Assert.Equal(ImageProblem.Unreadable, Assert.Throws<ImageException>(() => ImageDecoder.Load("a\0b")).Problem);
        AssertRefused([], ImageProblem.Damaged, "empty");
    }

    [Fact]
    public void Every_cut_of_a_file_is_damage()
    {
        foreach (byte[] file in (byte[][])[SmallPng, SmallJpeg, SmallProgressive])
        {
            for (int length = 8; length < file.Length; length++)
            {
                byte[] cut = file[..length];
                Assert.Equal(ImageProblem.Damaged, Assert.Throws<ImageException>(() => ImageDecoder.Decode(cut, "cut")).Problem);
            }
        }
    }

    [Fact]
    public void Every_flipped_bit_of_a_PNG_is_noticed()
    {
        for (int bit = 0; bit < 8 * SmallPng.Length; bit++)
        {
            byte[] file = [.. SmallPng];
            file[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<ImageException>(() => ImageDecoder.Decode(file, "flipped"));
        }
    }

    [Fact]
    public void Promised_sizes_are_checked_before_memory_is_taken()
    {
        byte[] data = Deflate(new byte[100]);
        AssertRefused(Png(Header(60000, 60000, 8, 2), ("IDAT", data), ("IEND", [])), ImageProblem.TooLarge, "3600000000 pixels");
        AssertCheap(Png(Header(8000, 8000, 16, 6), ("IDAT", data), ("IEND", [])), "cannot hold");
        byte[] jpeg = [.. SmallJpeg];
        int frame = FrameHeader(jpeg);
        jpeg[frame + 4] = jpeg[frame + 6] = 0x1F; // 7936 x 7936 or so
        AssertCheap(jpeg, "cannot hold");
        jpeg[frame + 4] = jpeg[frame + 6] = 0xFF;
        AssertRefused(jpeg, ImageProblem.TooLarge, "limit");
        Assert.Equal(ImageProblem.TooLarge, Assert.Throws<ImageException>(
            () => ImageDecoder.Decode(SmallPng, "limited", new ImageLimits { MaxPixels = 100 })).Problem);
        Assert.Equal(ImageProblem.TooLarge, Assert.Throws<ImageException>(
            () => ImageDecoder.Decode(SmallPng, "limited", new ImageLimits { MaxFileBytes = 100 })).Problem);
    }

    [Theory]
    [InlineData("data longer than the picture", "more pixel data")]
    [InlineData("data shorter than the picture", "fewer than IHDR")]
    [InlineData("wrong Adler value", "broken")]
    [InlineData("stream cut in the Adler value", "broken")]
    [InlineData("unknown filter", "filter type 5")]
    [InlineData("palette missing", "PLTE")]
    [InlineData("palette behind the data", "misplaced")]
    [InlineData("split data", "misplaced")]
    [InlineData("colour beyond the palette", "colour 3")]
    [InlineData("unknown critical chunk", "ABCD")]
    [InlineData("second header", "misplaced")]
    [InlineData("no data", "no IDAT")]
    [InlineData("bad depth", "4 bits")]
    [InlineData("zero width", "0 x 1")]
    public void Broken_PNGs_are_explained(string what, string word)
    {
        byte[] gray = Header(2, 1, 8, 0), palette = Header(2, 1, 8, 3);
        byte[] row = Deflate([0, 1, 3]);
        byte[] file = what switch
        {
            "data longer than the picture" => Png(gray, ("IDAT", Deflate([0, 1, 3, 9])), ("IEND", [])),
            "data shorter than the picture" => Png(gray, ("IDAT", Deflate([0, 1])), ("IEND", [])),
            "wrong Adler value" => Png(gray, ("IDAT", [.. row[..^1], (byte)~row[^1]]), ("IEND", [])),
            "stream cut in the Adler value" => Png(gray, ("IDAT", row[..^2]), ("IEND", [])),
            "unknown filter" => Png(gray, ("IDAT", Deflate([5, 1, 3])), ("IEND", [])),
            "palette missing" => Png(palette, ("IDAT", row), ("IEND", [])),
            "palette behind the data" => Png(gray, ("IDAT", row), ("PLTE", [1, 2, 3]), ("IEND", [])),
            "split data" => Png(gray, ("IDAT", row[..4]), ("tEXt", []), ("IDAT", row[4..]), ("IEND", [])),
            "colour beyond the palette" => Png(palette, ("PLTE", new byte[9]), ("IDAT", row), ("IEND", [])),
            "unknown critical chunk" => Png(gray, ("ABCD", []), ("IDAT", row), ("IEND", [])),
            "second header" => Png(gray, ("IHDR", gray), ("IDAT", row), ("IEND", [])),
            "no data" => Png(gray, ("IEND", [])),
            "bad depth" => Png(Header(2, 1, 4, 2), ("IDAT", row), ("IEND", [])),
            _ => Png(Header(0, 1, 8, 0), ("IDAT", row), ("IEND", [])),
        };
        AssertRefused(file, what == "unknown critical chunk" ? ImageProblem.NotSupported : ImageProblem.Damaged, word);
    }

    [Fact]
    public void Mutated_files_give_a_picture_or_an_ImageException()
    {
        const int PerFile = 60;
        var clock = Stopwatch.StartNew();
        Random random = new(20240917);
        int read = 0, refused = 0;
        foreach (PictureFixture fixture in PictureFixtures.All.Values)
        {
            for (int i = 0; i < PerFile; i++)
            {
                byte[] file = Mutate(fixture.File, random);
                try
                {
                    RgbImage image = ImageDecoder.Decode(file, fixture.Name, new ImageLimits { MaxPixels = 4_000_000 });
                    Assert.Equal((long)image.Width * image.Height * 3, image.Pixels.Length);
                    read++;
                }
                catch (ImageException)
                {
                    refused++;
                }
            }
        }

        Assert.True(read > 0 && refused > 0, $"{read} read, {refused} refused");
        Assert.True(clock.Elapsed < TimeSpan.FromMinutes(2), $"{read + refused} files took {clock.Elapsed}");
    }

    /// <summary>Changes some bytes; in a PNG the check values are made right again, so that what lies behind them is reached.</summary>
    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> file = [.. original];
        for (int changes = random.Next(1, 5); changes > 0; changes--)
        {
            int at = random.Next(2, file.Count);
            switch (random.Next(5))
            {
                case 0:
                    file.RemoveRange(at, Math.Min(random.Next(1, 9), file.Count - at));
                    break;
                case 1:
                    file.InsertRange(at, file.Slice(at, Math.Min(random.Next(1, 30), file.Count - at)));
                    break;
                case 2:
                    file[at] = random.Next(2) == 0 ? (byte)0xFF : (byte)0;
                    break;
                default:
                    file[at] = (byte)random.Next(256);
                    break;
            }

            if (file.Count < 40)
            {
                break;
            }
        }

        byte[] bytes = [.. file];
        for (int at = 8; original[0] == 0x89 && at + 12 <= bytes.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(at));
            if (length < 0 || length > bytes.Length - at - 12)
            {
                break;
            }

            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at + 8 + length), Crc32.Of(bytes.AsSpan(at + 4, length + 4)));
            at += 12 + length;
        }

        return bytes;
    }

    private static int FrameHeader(byte[] jpeg)
    {
        int at = 2;
        while (jpeg[at + 1] is not (0xC0 or 0xC1 or 0xC2))
        {
            at += 2 + (jpeg[at + 2] << 8) + jpeg[at + 3];
        }

        return at + 1;
    }

    private static byte[] Header(int width, int height, byte depth, byte color) =>
        [(byte)(width >> 24), (byte)(width >> 16), (byte)(width >> 8), (byte)width, (byte)(height >> 24), (byte)(height >> 16), (byte)(height >> 8), (byte)height, depth, color, 0, 0, 0];

    private static byte[] Png(byte[] header, params (string Type, byte[] Content)[] chunks)
    {
        List<byte> file = [0x89, .. "PNG\r\n"u8, 0x1A, (byte)'\n'];
        foreach ((string type, byte[] content) in chunks.Prepend(("IHDR", header)))
        {
            byte[] body = [.. Encoding.ASCII.GetBytes(type), .. content];
            byte[] word = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(word, content.Length);
            file.AddRange(word);
            file.AddRange(body);
            BinaryPrimitives.WriteUInt32BigEndian(word, Crc32.Of(body));
            file.AddRange(word);
        }

        return [.. file];
    }

    private static byte[] Deflate(byte[] data)
    {
        using MemoryStream packed = new();
        using (ZLibStream stream = new(packed, CompressionLevel.Optimal))
        {
            stream.Write(data);
        }

        return packed.ToArray();
    }

    private static void AssertRefused(byte[] file, ImageProblem kind, string word)
    {
        ImageException problem = Assert.Throws<ImageException>(() => ImageDecoder.Decode(file, "a.file"));
        Assert.True(problem.Problem == kind && problem.Message.Contains(word, StringComparison.Ordinal), $"{problem.Problem}: {problem.Message}");
    }

    private static void AssertCheap(byte[] file, string word)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        AssertRefused(file, ImageProblem.Damaged, word);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }
}

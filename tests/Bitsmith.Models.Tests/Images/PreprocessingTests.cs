using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Models.Tests.Images;

public sealed class PreprocessingTests
{
    private const TokenModality Text = TokenModality.Text, Image = TokenModality.Image, Video = TokenModality.Video;
    private static readonly PixelLimits Limits = new(12544, 9633792);

    [Theory]
    [InlineData(0.0, "0.0 seconds", "0")]
    [InlineData(0.25, "0.2 seconds", "0")] // a tie goes to the even digit
    [InlineData(0.75, "0.8 seconds", "0")]
    [InlineData(0.35, "0.3 seconds", "0")] // 0.35 is a little less than 35/100
    [InlineData(0.05, "0.1 seconds", "0")] // 0.05 is a little more than 5/100
    [InlineData(1.95, "1.9 seconds", "1")]
    [InlineData(12.34, "12.3 seconds", "12")]
    [InlineData(59.96, "60.0 seconds", "59")]
    [InlineData(2399.999, "2400.0 seconds", "2399")]
    public void Times_are_written_as_Python_writes_them(double seconds, string glm46, string glm4)
    {
        Assert.Equal(glm46, VideoTimes.Format(seconds, ProcessorFamily.Glm46V));
        Assert.Equal(glm4, VideoTimes.Format(seconds, ProcessorFamily.Glm4V));
    }

    [Fact]
    public void Each_pair_has_the_time_of_its_first_frame_and_the_last_time_is_repeated() =>
        Assert.Equal([0, 0.5, 1.5, 1.5], VideoTimes.Of([0, 2, 5, 9, 15], 10, 4));

    [Fact]
    public void Pictures_that_are_too_long_are_refused_by_name()
    {
        ImageException problem = Assert.Throws<ImageException>(() => new GlmImageProcessor(new ImageProcessorSettings()).Process(Plain(201 * 28, 28)));
        Assert.Equal(ImageProblem.Unsuitable, problem.Problem);
        Assert.Contains("201 times", problem.Message, StringComparison.Ordinal);
        Assert.Equal((28, 28 * 200), SmartResize.Fit(2, 28, 28 * 200, 2, 28, Limits));
    }

    [Fact]
    public void A_limit_that_blows_pictures_up_beyond_memory_is_refused() =>
        Assert.Equal(ImageProblem.TooLarge, Assert.Throws<ImageException>(() => SmartResize.Fit(2, 100, 100, 2, 28, new PixelLimits(1L << 40, 1L << 41))).Problem);

    [Fact]
    public void Any_size_gives_multiples_of_the_factor_within_the_limits() => Check.QuickThrowOnFailure(Prop.ForAll(
        Sizes(1, 5000), Sizes(1, 5000), (height, width) =>
        {
            if (Math.Max(height, width) > 190 * Math.Min(height, width))
            {
                return true;
            }

            (int newHeight, int newWidth) = SmartResize.Fit(2, height, width, 2, 28, Limits);
            long area = 2L * newHeight * newWidth;
            return newHeight % 28 == 0 && newWidth % 28 == 0 && newHeight > 0 && newWidth > 0 && area >= Limits.Smallest
                && (area <= Limits.Largest || newHeight == 28 || newWidth == 28);
        }));

    [Fact]
    public void Scaling_keeps_a_plain_picture_plain() => Check.QuickThrowOnFailure(Prop.ForAll(
        Sizes(1, 60), Sizes(1, 60), Sizes(1, 60), (from, width, height) =>
        {
            RgbImage scaled = BicubicResize.Resize(Plain(from, 61 - from), width, height);
            return scaled.Width == width && scaled.Height == height && Enumerable.Range(0, width * height).All(i => scaled.Pixels.Slice(3 * i, 3).SequenceEqual((byte[])[7, 99, 250]));
        }));

    [Fact]
    public void Each_orientation_is_undone_by_its_opposite()
    {
        RgbImage image = Numbered(5, 3);
        foreach (ExifOrientation orientation in Enum.GetValues<ExifOrientation>())
        {
            ExifOrientation back = orientation switch
            {
                ExifOrientation.Rotate90Clockwise => ExifOrientation.Rotate90Counterclockwise,
                ExifOrientation.Rotate90Counterclockwise => ExifOrientation.Rotate90Clockwise,
                _ => orientation,
            };
            RgbImage again = image.ApplyExifOrientation(orientation).ApplyExifOrientation(back);
            Assert.True(image.Width == again.Width && image.Pixels.SequenceEqual(again.Pixels), $"{orientation}");
        }
    }

    [Fact]
    public void An_odd_video_repeats_its_last_frame()
    {
        GlmImageProcessor processor = new(new ImageProcessorSettings());
        RgbImage first = Numbered(56, 56), last = Plain(56, 56);
        PixelRows odd = processor.ProcessVideo([first, first, last]), even = processor.ProcessVideo([first, first, last, last]);
        Assert.Equal(2, odd.Grid.Frames);
        Assert.Equal(1176, odd.Columns);
        // Three frames round to four in smart_resize (half to even), so that both have the same size here.
        Assert.Equal(even.Grid, odd.Grid);
        Assert.Equal(even.Values, odd.Values);
    }

    [Fact]
    public void A_video_of_one_frame_or_of_mixed_sizes_is_refused()
    {
        GlmImageProcessor processor = new(new ImageProcessorSettings());
        Assert.Contains("Repeat", Assert.Throws<ImageException>(() => processor.ProcessVideo([Plain(28, 28)])).Message, StringComparison.Ordinal);
        Assert.Contains("one size", Assert.Throws<ImageException>(() => processor.ProcessVideo([Plain(28, 28), Plain(28, 29)])).Message, StringComparison.Ordinal);
        Assert.Throws<ImageException>(() => processor.ProcessVideo([]));
    }

    [Fact]
    public void Patches_of_one_token_follow_each_other()
    {
        // 56 x 112 pixels are 4 x 8 patches; the red value of a pixel tells its patch.
        byte[] pixels = new byte[56 * 112 * 3];
        for (int y = 0; y < 56; y++)
        {
            for (int x = 0; x < 112; x++)
            {
                pixels[3 * ((y * 112) + x)] = (byte)((y / 14 * 8) + (x / 14));
            }
        }

        ImageProcessorSettings settings = new() { Mean = [0, 0, 0], Deviation = [1, 1, 1], RescaleFactor = 1 };
        PixelRows rows = new GlmImageProcessor(settings).Process(new RgbImage(112, 56, pixels));
        Assert.Equal(new VisionGrid(1, 4, 8), rows.Grid);
        int[] order = [.. Enumerable.Range(0, 32).Select(row => (int)rows.Values[row * rows.Columns])];
        Assert.Equal([0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13], order[..12]);
        Assert.Equal([22, 23, 30, 31], order[^4..]);
    }

    [Theory]
    [InlineData("""{"do_resize": false}""", "do_resize")]
    [InlineData("""{"resample": 2}""", "resample")]
    [InlineData("""{"size": {"shortest_edge": 5}}""", "size")]
    [InlineData("""{"size": {"shortest_edge": 9, "longest_edge": 5}}""", "size")]
    [InlineData("""{"patch_size": 0}""", "patch_size")]
    [InlineData("""{"merge_size": "2"}""", "merge_size")]
    [InlineData("""{"image_mean": [1, 2]}""", "image_mean")]
    [InlineData("""{"image_std": [1, 0, 1]}""", "image_std")]
    [InlineData("""{"rescale_factor": -1}""", "rescale_factor")]
    [InlineData("""{"image_processor_type": "Qwen2VLImageProcessor"}""", "Qwen2VL")]
    public void Settings_that_cannot_be_followed_are_named(string json, string word) => Assert.Contains(
        word,
        Assert.Throws<CheckpointException>(() => ImageProcessorSettings.Read(JsonText.Parse(Encoding.UTF8.GetBytes(json), "p.json"), "p.json", ImageProcessorSettings.ImageDefaults)).Message,
        StringComparison.Ordinal);

    [Fact]
    public void Absent_settings_are_those_of_the_classes()
    {
        var empty = JsonText.Parse("{}"u8.ToArray(), "p.json");
        Assert.Equal(new PixelLimits(12544, 11_760_000), ImageProcessorSettings.Read(empty, "p.json", ImageProcessorSettings.ImageDefaults).Size);
        Assert.Equal(new PixelLimits(12544, 47_040_000), ImageProcessorSettings.Read(empty, "p.json", ImageProcessorSettings.VideoDefaults).Size);
    }

    [Fact]
    public void Nested_settings_of_processor_config_win()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("settings");
        try
        {
            Assert.Contains("missing", Assert.Throws<CheckpointException>(() => GlmImageProcessor.Load(folder.FullName)).Message, StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(folder.FullName, "preprocessor_config.json"), """{"size": {"shortest_edge": 1, "longest_edge": 2}}""");
            var processor = GlmImageProcessor.Load(folder.FullName);
            Assert.Equal((new PixelLimits(1, 2), new PixelLimits(1, 2)), (processor.Settings.Size, processor.VideoSettings.Size));
            File.WriteAllText(Path.Combine(folder.FullName, "video_preprocessor_config.json"), """{"size": {"shortest_edge": 3, "longest_edge": 4}}""");
            processor = GlmImageProcessor.Load(folder.FullName);
            Assert.Equal((new PixelLimits(1, 2), new PixelLimits(3, 4)), (processor.Settings.Size, processor.VideoSettings.Size));
            File.WriteAllText(
                Path.Combine(folder.FullName, "processor_config.json"),
                """{"image_processor": {"size": {"shortest_edge": 5, "longest_edge": 6}}, "video_processor": {"merge_size": 2}}""");
            processor = GlmImageProcessor.Load(folder.FullName);
            Assert.Equal((new PixelLimits(5, 6), new PixelLimits(12544, 47_040_000)), (processor.Settings.Size, processor.VideoSettings.Size));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_picture_after_five_words_counts_rows_and_columns()
    {
        // The example of the reference: a 1 x 4 x 8 picture, 8 tokens, then one more word.
        TokenModality[] modalities = [Text, Text, Text, Text, Text, .. Enumerable.Repeat(Image, 8), Text];
        var positions = VisionPositions.Compute(modalities, [new VisionGrid(1, 4, 8)], [], 2);
        Assert.Equal([0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 9], positions.Time.ToArray());
        Assert.Equal([5, 5, 5, 5, 6, 6, 6, 6, 9], positions.Height[5..].ToArray());
        Assert.Equal([5, 6, 7, 8, 5, 6, 7, 8, 9], positions.Width[5..].ToArray());
        Assert.Equal(-4, positions.RopeDelta);
    }

    [Fact]
    public void Runs_that_do_not_fit_the_grids_are_refused()
    {
        VisionGrid grid = new(1, 2, 4);
        Assert.Contains("run of 3", Refusal([Image, Image, Image], [grid], []), StringComparison.Ordinal);
        Assert.Contains("text between", Refusal([Image, Image, Image, Image], [grid, grid], []), StringComparison.Ordinal);
        Assert.Contains("only 0", Refusal([Image, Image], [], []), StringComparison.Ordinal);
        Assert.Contains("2 frame pairs", Refusal([Video, Video], [], [grid with { Frames = 2 }]), StringComparison.Ordinal);
        Assert.Contains("1 pictures", Refusal([Text], [grid], []), StringComparison.Ordinal);
    }

    [Fact]
    public void Placeholders_must_match_pictures_and_videos()
    {
        Assert.Contains("1 <|image|>", Assert.Throws<ArgumentException>(() => VisionPlaceholders.Expand("a<|image|>", [], [], 2, ProcessorFamily.Glm46V)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => VisionPlaceholders.Expand("a", [], [new VideoPlace(new VisionGrid(1, 2, 2), [0])], 2, ProcessorFamily.Glm46V));
        Assert.Throws<ArgumentException>(() => VisionPlaceholders.Expand("<|video|>", [], [new VideoPlace(new VisionGrid(2, 2, 2), [0])], 2, ProcessorFamily.Glm46V));
    }

    private static string Refusal(TokenModality[] modalities, VisionGrid[] images, VisionGrid[] videos) =>
        Assert.Throws<ArgumentException>(() => VisionPositions.Compute(modalities, images, videos, 2)).Message;

    private static Arbitrary<int> Sizes(int least, int most) => Arb.From(Gen.Choose(least, most));

    private static RgbImage Plain(int width, int height)
    {
        byte[] pixels = new byte[width * height * 3];
        for (int i = 0; i < pixels.Length; i += 3)
        {
            ((ReadOnlySpan<byte>)[7, 99, 250]).CopyTo(pixels.AsSpan(i));
        }

        return new RgbImage(width, height, pixels);
    }

    private static RgbImage Numbered(int width, int height) => new(width, height, [.. Enumerable.Range(0, width * height * 3).Select(i => (byte)(i * 7))]);
}

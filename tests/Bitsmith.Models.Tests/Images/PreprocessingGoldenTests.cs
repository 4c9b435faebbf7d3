using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;

namespace Bitsmith.Models.Tests.Images;

/// <summary>Everything that transformers 5.12.1 recorded about pictures and videos, to the last bit.</summary>
public sealed class PreprocessingGoldenTests
{
    private static readonly string[] Pictures = ["exact_84x84", "wide_100x61", "tall_37x143", "tiny_20x15", "large_160x120"];
    private static readonly string[] Models = ["tiny-glm4v", "tiny-glm4v-moe"];

    public static TheoryData<string> PictureNames => [.. Pictures];

    public static TheoryData<string, string> Cases =>
        [.. Models.SelectMany(model => Info(model).GetProperty("cases").EnumerateObject().Select(entry => new TheoryDataRow<string, string>(model, entry.Name)))];

    [Theory]
    [InlineData("wide_100x61")]
    [InlineData("tall_37x143")]
    [InlineData("tiny_20x15")]
    [InlineData("large_160x120")]
    public void Scaled_pictures_equal_those_of_torchvision(string name)
    {
        RgbImage expected = ImageDecoder.Load(PictureFixtures.Golden("tiny-glm4v", "images", name + ".resized.png"));
        RgbImage scaled = BicubicResize.Resize(Picture(name), expected.Width, expected.Height);
        Assert.True(expected.Pixels.SequenceEqual(scaled.Pixels), name);
    }

    [Theory]
    [MemberData(nameof(PictureNames))]
    public void Pixel_values_of_pictures_have_the_recorded_hash(string name)
    {
        foreach (string model in Models)
        {
            JsonElement recorded = Info(model).GetProperty("images").GetProperty(name);
            var processor = GlmImageProcessor.Load(PictureFixtures.Golden(model));
            RgbImage image = Picture(name);
            PixelRows rows = processor.Process(image);
            new Measurements(model, "-").Same("grids", Numbers(recorded.GetProperty("grid_thw")), [rows.Grid.Frames, rows.Grid.Height, rows.Grid.Width]);
            Assert.Equal(Numbers(recorded.GetProperty("pixel_values_shape")), new[] { rows.Grid.Patches, rows.Columns });
            Assert.Equal(Numbers(recorded.GetProperty("resized_wh")), new[] { rows.Grid.Width * 14, rows.Grid.Height * 14 });
            Assert.Equal(recorded.GetProperty("tokens").GetInt32(), rows.Grid.Tokens(processor.Settings.MergeSize));
            Assert.Equal(rows.Grid, processor.GridOf(image.Width, image.Height));
            AssertValues(recorded, "pixel_values_sum", rows);
        }
    }

    [Fact]
    public void Pixel_values_equal_the_recorded_tensor()
    {
        using var file = SafetensorsFile.Open(PictureFixtures.Golden("tiny-glm4v", "golden.safetensors"));
        ReadOnlySpan<float> expected = MemoryMarshal.Cast<byte, float>(file.View(Tensor(file, "img.tiny_20x15.pixel_values")));
        PixelRows rows = GlmImageProcessor.Load(PictureFixtures.Golden("tiny-glm4v")).Process(Picture("tiny_20x15"));
        Assert.True(expected.SequenceEqual(rows.Values));
    }

    [Fact]
    public void Pixel_values_of_the_video_have_the_recorded_hash()
    {
        foreach (string model in Models)
        {
            JsonElement recorded = Info(model).GetProperty("cases").GetProperty("video");
            PixelRows rows = GlmImageProcessor.Load(PictureFixtures.Golden(model)).ProcessVideo([Picture("frame0"), Picture("frame1"), Picture("frame2"), Picture("frame3")]);
            new Measurements(model, "-").Same("grids", Numbers(recorded.GetProperty("video_grid_thw")[0]), [rows.Grid.Frames, rows.Grid.Height, rows.Grid.Width]);
            AssertValues(recorded, "pixel_values_videos_sum", rows);
        }
    }

    [Fact]
    public void Sizes_equal_the_recorded_table()
    {
        using JsonDocument rules = Rules();
        int cases = 0;
        foreach (JsonElement row in rules.RootElement.GetProperty("smart_resize").EnumerateArray())
        {
            JsonElement[] column = [.. row.EnumerateArray()];
            PixelLimits limits = new(column[5].GetInt64(), column[6].GetInt64());
            (int height, int width) = SmartResize.Fit(
                column[0].GetInt32(), column[1].GetInt32(), column[2].GetInt32(), column[3].GetInt32(), column[4].GetInt32(), limits);
            Assert.Equal((column[7][0].GetInt32(), column[7][1].GetInt32()), (height, width));
            cases++;
        }

        Assert.Equal(152, cases);
    }

    [Fact]
    public void Sampled_frames_equal_the_recorded_table()
    {
        using JsonDocument rules = Rules();
        foreach (JsonElement video in rules.RootElement.GetProperty("video_frame_sampling").EnumerateArray())
        {
            int frames = video.GetProperty("total_frames").GetInt32();
            double rate = video.GetProperty("fps").GetDouble(), seconds = video.GetProperty("duration").GetDouble();
            AssertFrames(video.GetProperty("glm46v"), VideoSampling.Glm46V(frames, rate, seconds));
            AssertFrames(video.GetProperty("glm4v"), VideoSampling.Glm4V(frames, rate, seconds));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Expanded_prompts_equal_the_recorded_ones(string model, string name)
    {
        JsonElement recorded = Info(model).GetProperty("cases").GetProperty(name);
        ProcessorFamily style = model == "tiny-glm4v" ? ProcessorFamily.Glm46V : ProcessorFamily.Glm4V;
        VideoPlace[] videos = [.. Grids(recorded, "video_grid_thw").Select(grid => new VideoPlace(grid, VideoTimes.Of([0, 1, 2, 3], 2, grid.Frames)))];
        string expanded = VisionPlaceholders.Expand(recorded.GetProperty("prompt").GetString()!, Grids(recorded, "image_grid_thw"), videos, 2, style);
        Assert.Equal(recorded.GetProperty("expanded_prompt").GetString(), expanded);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Positions_equal_the_recorded_ones(string model, string name)
    {
        JsonElement recorded = Info(model).GetProperty("cases").GetProperty(name);
        using var file = SafetensorsFile.Open(PictureFixtures.Golden(model, "golden.safetensors"));
        int[] tokens = Integers(file, $"{name}.input_ids");
        TokenModality[] modalities = VisionPlaceholders.Modalities(tokens, 4081, 4077, 4078);
        Assert.Equal(Integers(file, $"{name}.mm_token_type_ids"), modalities.Select(modality => (int)modality));
        var positions = VisionPositions.Compute(modalities, Grids(recorded, "image_grid_thw"), Grids(recorded, "video_grid_thw"), 2);
        new Measurements(model, "-").Same("positions", Integers(file, $"{name}.position_ids"), positions.Values.ToArray());
        Assert.Equal(Integers(file, $"{name}.rope_delta")[0], positions.RopeDelta);
    }

    private static RgbImage Picture(string name) => ImageDecoder.Load(PictureFixtures.Golden("tiny-glm4v", "images", name + ".png"));

    private static JsonElement Info(string model)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(PictureFixtures.Golden(model, "golden_info.json")));
        return json.RootElement.Clone();
    }

    private static JsonDocument Rules() => JsonDocument.Parse(File.ReadAllBytes(PictureFixtures.Golden("vision_rules.json")));

    private static int[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];

    private static VisionGrid[] Grids(JsonElement recorded, string name) => recorded.TryGetProperty(name, out JsonElement grids)
        ? [.. grids.EnumerateArray().Select(grid => new VisionGrid(grid[0].GetInt32(), grid[1].GetInt32(), grid[2].GetInt32()))]
        : [];

    private static StoredTensor Tensor(SafetensorsFile file, string name) => file.Header.Tensors.Single(tensor => tensor.Name == name);

    private static int[] Integers(SafetensorsFile file, string name)
    {
        ReadOnlySpan<long> values = MemoryMarshal.Cast<byte, long>(file.View(Tensor(file, name)));
        return [.. values.ToArray().Select(value => (int)value)];
    }

    private static void AssertValues(JsonElement recorded, string sum, PixelRows rows)
    {
        // The sum tells a wrong picture from a wrong last bit; it was added up in another order.
        Assert.Equal(recorded.GetProperty(sum).GetDouble(), rows.Values.Sum(value => (double)value), 1e-6);
        byte[] hash = SHA256.HashData(MemoryMarshal.AsBytes(rows.Values.AsSpan()));
        Assert.Equal(recorded.GetProperty("sha256_f32le").GetString(), Convert.ToHexStringLower(hash));
    }

    private static void AssertFrames(JsonElement expected, int[] frames)
    {
        if (expected.ValueKind == JsonValueKind.Array)
        {
            Assert.Equal(Numbers(expected), frames);
            return;
        }

        Assert.Equal(expected.GetProperty("count").GetInt32(), frames.Length);
        Assert.Equal(Numbers(expected.GetProperty("head")), frames[..8]);
        Assert.Equal(Numbers(expected.GetProperty("tail")), frames[^8..]);
        Assert.Equal(expected.GetProperty("sum").GetInt64(), frames.Sum(frame => (long)frame));
    }
}

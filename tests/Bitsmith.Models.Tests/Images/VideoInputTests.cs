using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;

namespace Bitsmith.Models.Tests.Images;

/// <summary>
/// Videos through the sample model's whole chain, against what both processors of transformers 5.12.1 make of them and the greedy answers in float32. Prompts that mix pictures and videos have no recorded
/// answer: transformers cannot run them.
/// </summary>
public sealed class VideoInputTests
{
    private const int Cases = 12;

    public static TheoryData<int> All => [.. Enumerable.Range(0, Cases)];

    [Theory]
    [MemberData(nameof(All))]
    public void Frames_ids_positions_pixels_and_answers_are_those_of_transformers(int index)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(PictureFixtures.Golden("videos.json")));
        JsonElement recorded = golden.RootElement.GetProperty("cases")[index];
        Assert.Equal(Cases, golden.RootElement.GetProperty("cases").GetArrayLength());
        using SampleFolder folder = new(recorded.GetProperty("processor").GetString()!);
        using GlmModel model = GlmModel.Open(folder.Path);
        JsonElement[] videos = [.. recorded.GetProperty("videos").EnumerateArray()];
        string[] parts = [.. recorded.GetProperty("parts").EnumerateArray().Select(part => part.GetString()!)];

        VisionInput[] films = [.. videos.Select(video => model.ReadVideo(new VideoFrames(
            [.. Enumerable.Range(0, video.GetProperty("frames").GetInt32()).Select(frame => Picture($"frame{frame % 4}"))],
            video.GetProperty("fps") is { ValueKind: JsonValueKind.Number } rate ? rate.GetDouble() : null)))];
        VisionInput[] pictures = parts.Contains("image") ? [model.ReadPicture(ImageDecoder.Load(Picture("tiny_20x15")))] : [];
        PreparedPrompt prompt = model.Prepare(Message(parts), [.. films, .. pictures]);

        Assert.Equal(videos.Select(video => Numbers(video.GetProperty("sampled"))), films.Select(film => film.Frames));
        Assert.Equal(recorded.GetProperty("video_grid_thw").EnumerateArray().Select(Numbers), films.Select(film => (int[])[film.Grid.Frames, film.Grid.Height, film.Grid.Width]));
        Assert.Equal(Numbers(recorded.GetProperty("input_ids")), prompt.Ids);
        Assert.Equal(recorded.GetProperty("position_ids").EnumerateArray().Select(Numbers), prompt.Positions!);
        Assert.Equal(recorded.GetProperty("rope_delta").GetInt32(), prompt.RopeDelta);
        Assert.Equal(Numbers(recorded.GetProperty("mm_token_type_ids")).Select(type => type != 0), Enumerable.Range(0, prompt.Ids.Count).Select(token => prompt.Vision.Any(run => run.Start <= token && token < run.End)));
        if (recorded.GetProperty("greedy") is { ValueKind: JsonValueKind.Array } greedy)
        {
            int[] answer = [.. TokenGenerator.Run(model.Language, prompt, new SamplingSettings { Temperature = 0, MaxTokens = 12, StopTokens = model.Defaults.StopTokens }, model.Context, TestContext.Current.CancellationToken)];

            Assert.Equal(Numbers(greedy).Where(token => !model.Defaults.StopTokens.Contains(token)), answer);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Pixel_values_are_those_of_transformers_to_the_last_bit(int index)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(PictureFixtures.Golden("videos.json")));
        JsonElement recorded = golden.RootElement.GetProperty("cases")[index];
        using SampleFolder folder = new(recorded.GetProperty("processor").GetString()!);
        GlmImageProcessor processor = GlmImageProcessor.Load(folder.Path);

        float[] values = [.. recorded.GetProperty("videos").EnumerateArray()
            .SelectMany(video => processor.ProcessVideo([.. Numbers(video.GetProperty("sampled")).Select(frame => ImageDecoder.Load(Picture($"frame{frame % 4}")))]).Values)];

        Assert.Equal(recorded.GetProperty("pixel_values_videos_sum").GetDouble(), values.Sum(value => (double)value), 1e-6);
        Assert.Equal(recorded.GetProperty("sha256_f32le").GetString(), Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values.AsSpan()))));
    }

    [Fact]
    public void Equal_pictures_have_one_identity_and_others_another()
    {
        using SampleFolder folder = new("Glm46VProcessor");
        using GlmModel model = GlmModel.Open(folder.Path);
        VisionPart first = Assert.Single(model.ReadPicture(ImageDecoder.Load(Picture("frame0"))).Parts), again = Assert.Single(model.ReadPicture(ImageDecoder.Load(Picture("frame0"))).Parts);

        Assert.Equal(first.Identity, again.Identity);
        Assert.NotEqual(first.Identity, Assert.Single(model.ReadPicture(ImageDecoder.Load(Picture("frame1"))).Parts).Identity);
    }

    [Fact]
    public void A_folder_is_read_in_the_order_of_its_names_and_other_files_do_not_count()
    {
        using SampleFolder folder = new("Glm46VProcessor");
        string frames = Directory.CreateDirectory(Path.Combine(folder.Path, "frames")).FullName;
        foreach ((string name, string picture) in ((string, string)[])[("b.PNG", "frame1"), ("a.png", "frame0"), ("c.jpeg", "frame2")])
        {
            File.Copy(Picture(picture), Path.Combine(frames, name));
        }

        File.WriteAllText(Path.Combine(frames, "notes.txt"), "not a frame");
        VideoFrames video = VideoFrames.Open(frames, 2);

        Assert.Equal((3, 2.0), (video.Count, video.FramesPerSecond));
        Assert.Equal(["a.png", "b.PNG", "c.jpeg"], Enumerable.Range(0, 3).Select(frame => Path.GetFileName(video.Load(frame).Source)));
        Assert.Equal(2, VideoFrames.Open($"{Picture("frame0")}, {Picture("frame1")}", null).Count);
        Assert.Contains("no frames", Assert.Throws<ImageException>(() => VideoFrames.Open(Directory.CreateDirectory(Path.Combine(folder.Path, "empty")).FullName, null)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => VideoFrames.Open(frames, 0));
    }

    [Fact]
    public void A_model_without_a_vision_tower_refuses_pictures()
    {
        using SampleFolder folder = new("Glm46VProcessor");
        string config = Path.Combine(folder.Path, "config.json");
        JsonObject json = JsonNode.Parse(File.ReadAllText(config))!.AsObject();
        json.Remove("vision_config");
        File.Delete(config);
        File.WriteAllText(config, json.ToJsonString());
        using GlmModel model = GlmModel.Open(folder.Path);

        ImageException refusal = Assert.Throws<ImageException>(() => model.ReadPicture(ImageDecoder.Load(Picture("frame0"))));

        Assert.Equal(ImageProblem.Unsuitable, refusal.Problem);
        Assert.Contains("text model", refusal.Message, StringComparison.Ordinal);
    }

    private static string Picture(string name) => PictureFixtures.Golden("tiny-glm4v", "images", name + ".png");

    private static int[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];

    private static JsonElement Message(string[] parts) => JsonSerializer.SerializeToElement(new JsonArray(new JsonObject
    {
        ["role"] = "user",
        ["content"] = new JsonArray([.. parts.Select(JsonNode (part) => new JsonObject { ["type"] = part }), new JsonObject { ["type"] = "text", ["text"] = "Describe this video." }]),
    }));

    /// <summary>The sample model, asking for a processor of one family.</summary>
    private sealed class SampleFolder : IDisposable
    {
        public SampleFolder(string processor)
        {
            string family = processor[..^"Processor".Length];
            foreach (string file in Directory.EnumerateFiles(Repository.PathOf("samples", "glm-4.6v-mini")))
            {
                string target = System.IO.Path.Combine(Path, System.IO.Path.GetFileName(file));
                if (file.EndsWith("preprocessor_config.json", StringComparison.Ordinal))
                {
                    File.WriteAllText(target, File.ReadAllText(file).Replace("Glm46V", family, StringComparison.Ordinal));
                }
                else
                {
                    File.CreateSymbolicLink(target, file);
                }
            }
        }

        public string Path { get; } = Directory.CreateTempSubdirectory("bitsmith-video-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}

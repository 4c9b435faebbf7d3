using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>The vision tower, from pictures to tokens, against transformers in float32.</summary>
public sealed class VisionTowerTests
{
    private const double Tolerance = 1e-4;

    public static TheoryData<string, InstructionSet> Cases =>
        [.. new[] { "tiny-glm4v", "tiny-glm4v-moe" }.SelectMany(model => Cpu.Available.Select(set => (model, set)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tokens_of_pictures_and_videos_are_the_features_that_transformers_puts_into_the_prompt(string name, InstructionSet set)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        using Golden golden = new($"{name}/golden.safetensors");
        VisionTower tower = VisionTower.Create(weights, new ComputeOptions(2, set))!;
        GlmImageProcessor processor = GlmImageProcessor.Load(Path.Combine(AppContext.BaseDirectory, "goldens", name));
        Measurements measured = new(name, set);
        int compared = 0;
        foreach ((string @case, string[] pictures) in Prompts.Where(prompt => golden.Has($"{prompt.Key}.f32.embed")))
        {
            PixelRows[] pixels = @case == "video" ? [processor.ProcessVideo([.. pictures.Select(Load)])] : [.. pictures.Select(picture => processor.Process(Load(picture)))];
            float[] tokens = [.. pixels.SelectMany(rows => tower.Forward(rows.Values, rows.Grid))];

            // What was put into the embeddings at picture tokens, in order.
            int[] kinds = golden.Integers($"{@case}.mm_token_type_ids");
            float[] embed = golden.Floats($"{@case}.f32.embed");
            int width = embed.Length / kinds.Length;
            float[] expected = [.. Enumerable.Range(0, kinds.Length).Where(token => kinds[token] != 0).SelectMany(token => embed[(token * width)..((token + 1) * width)])];
            measured.Close("vision tower", expected, tokens, Tolerance, @case);
            if (golden.Has($"{@case}.f32.visual.merger"))
            {
                measured.Close("vision tower", golden.Floats($"{@case}.f32.visual.merger"), tokens, Tolerance, $"{@case} merger");
            }

            compared++;
        }

        Assert.True(compared >= 2, $"only {compared} prompts compared");
    }

    private static readonly Dictionary<string, string[]> Prompts = new()
    {
        ["one_image"] = ["wide_100x61"],
        ["two_images"] = ["tall_37x143", "exact_84x84"],
        ["video"] = ["frame0", "frame1", "frame2", "frame3"],
    };

    private static RgbImage Load(string picture) =>
        ImageDecoder.Load(Path.Combine(AppContext.BaseDirectory, "goldens", "tiny-glm4v", "images", picture + ".png"));
}

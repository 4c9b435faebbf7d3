using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>
/// Models that round every result to BF16 against transformers in bfloat16 with eager attention and experts, on a CPU with BF16 dot products: not close, but the same numbers, on every instruction set.
/// </summary>
public sealed class BFloat16ResultsTests
{
    private static readonly Dictionary<string, string[]> Pictures = new()
    {
        ["one_image"] = ["wide_100x61"],
        ["two_images"] = ["tall_37x143", "exact_84x84"],
        ["video"] = ["frame0", "frame1", "frame2", "frame3"],
    };

    public static TheoryData<string, InstructionSet> TextModels => [.. Of("tiny-glm", "tiny-glm4", "tiny-glm4-moe", "tiny-glm4-moe-qknorm")];

    public static TheoryData<string, InstructionSet> VisionModels => [.. Of("tiny-glm4v", "tiny-glm4v-moe")];

    [Theory]
    [MemberData(nameof(TextModels))]
    public void Final_states_and_logits_are_those_of_transformers_in_bfloat16_bit_for_bit(string name, InstructionSet set)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        using Golden golden = new($"{name}/golden.safetensors");
        LanguageModel model = LanguageModel.Create(weights, Rounding(set));
        string[] prompts = [.. golden.Names.Where(key => key.EndsWith(".input_ids", StringComparison.Ordinal)).Select(key => key[..^"input_ids".Length])];
        Assert.Equal(4, prompts.Length);
        foreach (string at in prompts)
        {
            int[] ids = golden.Integers($"{at}input_ids");
            float[] hidden = model.Embed(ids);
            model.Forward(hidden, model.NewCache(ids.Length, ElementType.BF16));
            Assert.Equal(golden.Floats($"{at}bf16.final_norm"), hidden);
            Assert.Equal(golden.Floats($"{at}bf16.logits"), model.Logits(hidden));
        }
    }

    [Theory]
    [MemberData(nameof(VisionModels))]
    public void Answers_to_pictures_and_videos_are_those_of_transformers_in_bfloat16_bit_for_bit(string name, InstructionSet set)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        using Golden golden = new($"{name}/golden.safetensors");
        LanguageModel model = LanguageModel.Create(weights, Rounding(set));
        VisionTower tower = VisionTower.Create(weights, Rounding(set))!;
        GlmImageProcessor processor = GlmImageProcessor.Load(Path.Combine(AppContext.BaseDirectory, "goldens", name));
        int compared = 0;
        foreach ((string @case, string[] pictures) in Pictures.Where(prompt => golden.Has($"{prompt.Key}.bf16.final_norm")))
        {
            int[] ids = golden.Integers($"{@case}.input_ids"), kinds = golden.Integers($"{@case}.mm_token_type_ids");
            PixelRows[] pixels = @case == "video" ? [processor.ProcessVideo([.. pictures.Select(Load)])] : [.. pictures.Select(picture => processor.Process(Load(picture)))];
            Queue<float[]> features = new(pixels.SelectMany(rows => tower.Forward(rows.Values, rows.Grid).Chunk(model.Config.HiddenSize)));
            float[] hidden = [.. ids.SelectMany((id, token) => kinds[token] == 0 ? model.Embed([id]) : features.Dequeue())];
            Assert.Empty(features);
            model.Forward(hidden, model.NewCache(ids.Length, ElementType.BF16), [.. golden.Integers($"{@case}.position_ids").Chunk(ids.Length)]);
            Assert.Equal(golden.Floats($"{@case}.bf16.final_norm"), hidden);
            Assert.Equal(golden.Floats($"{@case}.bf16.logits_last2"), model.Logits(hidden.AsMemory(hidden.Length - (2 * model.Config.HiddenSize))));
            compared++;
        }

        Assert.True(compared >= 2, $"only {compared} prompts compared");
    }

    private static IEnumerable<(string Name, InstructionSet Set)> Of(params string[] names) => names.SelectMany(name => Cpu.Available.Select(set => (name, set)));

    private static ComputeOptions Rounding(InstructionSet set) => new(2, set) { BFloat16Results = true };

    private static RgbImage Load(string picture) =>
        ImageDecoder.Load(Path.Combine(AppContext.BaseDirectory, "goldens", "tiny-glm4v", "images", picture + ".png"));
}

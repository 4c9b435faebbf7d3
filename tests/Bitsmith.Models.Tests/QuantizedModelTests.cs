using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>A checkpoint that the real library quantized to FP8 blocks, W8A8, against the library's own bfloat16 emulation of it.</summary>
public sealed class QuantizedModelTests
{
    private const int Vocabulary = 128;
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "models", "small_glm4_fp8_block32");

    [Fact]
    public void Quantized_activations_bring_the_logits_closer_to_the_librarys_than_exact_ones()
    {
        using SafetensorsFile golden = SafetensorsFile.Open(Path.Combine(Folder, "expected_logits.safetensors"));
        float[] expected = Floats(golden, "logits");
        int[] ids = [5, 9, 17, 33, 2, 77, 101, 42];

        double quantized = Divergence.AtEachPosition(expected, Logits(ids, exactActivations: false), Vocabulary).Average();
        double exact = Divergence.AtEachPosition(expected, Logits(ids, exactActivations: true), Vocabulary).Average();

        // What remains is the library's arithmetic in bfloat16.
        Assert.True(quantized < 5e-4, $"KL divergence {quantized:g3} with quantized activations");
        Assert.True(quantized < exact, $"{quantized:g3} with quantized, {exact:g3} with exact activations");
    }

    private static float[] Logits(int[] ids, bool exactActivations)
    {
        using ModelWeights weights = ModelWeights.Open(Folder);
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default, exactActivations);
        float[] hidden = model.Embed(ids);
        model.Forward(hidden, model.NewCache(ids.Length));
        return model.Logits(hidden);
    }

    private static float[] Floats(SafetensorsFile file, string name)
    {
        StoredTensor tensor = file.Header.Tensors.Single(tensor => tensor.Name == name);
        float[] values = new float[tensor.Elements];
        ElementConversion.ToSingle(tensor.Type, file.View(tensor), values);
        return values;
    }
}

using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>Checkpoints that the real library quantized, against the library's own bfloat16 emulation of them.</summary>
public sealed class QuantizedModelTests
{
    private const int Vocabulary = 128;
    private static readonly int[] Ids = [5, 9, 17, 33, 2, 77, 101, 42];

    [Theory]
    [InlineData("small_glm4_fp8_block32", 5e-4)]
    [InlineData("small_glm4_nvfp4", 5e-3)] // so few bits make more of a difference in the last one
    public void Quantized_activations_bring_the_logits_closer_to_the_librarys_than_exact_ones(string model, double most)
    {
        using SafetensorsFile golden = SafetensorsFile.Open(Path.Combine(Folder(model), "expected_logits.safetensors"));
        float[] expected = Floats(golden, "logits");

        double quantized = Divergence.AtEachPosition(expected, Logits(model, exactActivations: false), Vocabulary).Average();
        double exact = Divergence.AtEachPosition(expected, Logits(model, exactActivations: true), Vocabulary).Average();

        // What remains is the library's arithmetic in bfloat16.
        Assert.True(quantized < most, $"KL divergence {quantized:g3} with quantized activations");
        Assert.True(quantized < exact, $"{quantized:g3} with quantized, {exact:g3} with exact activations");
    }

    [Fact]
    public void Packed_integers_give_the_librarys_logits_but_for_its_arithmetic_in_bfloat16()
    {
        using SafetensorsFile golden = SafetensorsFile.Open(Path.Combine(Folder("small_glm4_w4a16_g32"), "expected_logits.safetensors"));
        float[] expected = Floats(golden, "logits");
        double exact = Divergence.AtEachPosition(expected, Logits("small_glm4_w4a16_g32", exactActivations: false), Vocabulary).Average();
        Assert.True(exact < 1e-4, $"KL divergence {exact:g3}");
        Assert.True(exact < Divergence.AtEachPosition(expected, Floats(golden, "base"), Vocabulary).Average() / 10);
        double rounded = Divergence.AtEachPosition(expected, Logits("small_glm4_w4a16_g32", exactActivations: false, ComputeOptions.Fastest), Vocabulary).Average();
        Assert.True(rounded < 1e-3, $"KL divergence {rounded:g3} with inputs of 8 bits");
    }

    [Theory]
    [InlineData("small_glm4_w4a16_g32")]
    [InlineData("small_glm4_nvfp4")]
    public void Operations_rounded_as_the_client_rounds_them_give_its_logits_of_the_first_token_to_the_last_bit(string model)
    {
        // Of later tokens the client, with its fused attention, adds up the values in another order.
        using SafetensorsFile golden = SafetensorsFile.Open(Path.Combine(Folder(model), "expected_logits.safetensors"));
        float[] found = Logits(model, exactActivations: false, ComputeOptions.Default with { BFloat16Results = true });
        Assert.Equal(Floats(golden, "logits")[..Vocabulary], found[..Vocabulary]);
    }

    private static string Folder(string model) => Path.Combine(AppContext.BaseDirectory, "models", model);

    private static float[] Logits(string folder, bool exactActivations, ComputeOptions? compute = null)
    {
        using ModelWeights weights = ModelWeights.Open(Folder(folder));
        LanguageModel model = LanguageModel.Create(weights, compute ?? ComputeOptions.Default, exactActivations);
        float[] hidden = model.Embed(Ids);
        model.Forward(hidden, model.NewCache(Ids.Length));
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

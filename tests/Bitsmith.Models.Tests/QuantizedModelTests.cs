using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>A checkpoint that the real library quantized to FP8 blocks, W8A8, against the library's own bfloat16 emulation of it.</summary>
public sealed class QuantizedModelTests
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "models", "small_glm4_fp8_block32");

    [Fact]
    public void Quantized_activations_bring_the_logits_closer_to_the_librarys_than_exact_ones()
    {
        using SafetensorsFile golden = SafetensorsFile.Open(Path.Combine(Folder, "expected_logits.safetensors"));
        float[] expected = Floats(golden, "logits");
        int[] ids = [5, 9, 17, 33, 2, 77, 101, 42];

        double quantized = Divergence(expected, Logits(ids, exactActivations: false)), exact = Divergence(expected, Logits(ids, exactActivations: true));

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

    /// <summary>Mean over positions of KL(expected || actual), of the softmaxes.</summary>
    private static double Divergence(float[] expected, float[] actual)
    {
        const int Vocabulary = 128;
        Assert.Equal(expected.Length, actual.Length);
        double sum = 0;
        for (int start = 0; start < expected.Length; start += Vocabulary)
        {
            double[] p = LogSoftmax(expected.AsSpan(start, Vocabulary)), q = LogSoftmax(actual.AsSpan(start, Vocabulary));
            sum += p.Zip(q, (a, b) => Math.Exp(a) * (a - b)).Sum();
        }

        return sum / (expected.Length / Vocabulary);
    }

    private static double[] LogSoftmax(ReadOnlySpan<float> logits)
    {
        double[] values = [.. logits.ToArray().Select(logit => (double)logit)];
        double normalizer = Math.Log(values.Sum(Math.Exp));
        return [.. values.Select(value => value - normalizer)];
    }
}

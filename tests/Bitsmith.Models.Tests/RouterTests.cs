using System.Globalization;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Tests;

/// <summary>The routing function alone, at the shapes of the real models.</summary>
public sealed class RouterTests
{
    [Theory]
    [InlineData("air")]
    [InlineData("glm47")]
    [InlineData("groups")]
    [InlineData("groups_wide")]
    [InlineData("no_norm")]
    [InlineData("all_groups")]
    public void Experts_and_weights_are_those_of_transformers(string name)
    {
        using Golden golden = new("router.safetensors");
        Dictionary<string, string> settings = golden.Metadata[name].Split(';')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        MoeConfig config = new(
            Number("n_routed_experts"), Number("top_k"), 1, 1, 1, Number("n_group"), Number("topk_group"),
            bool.Parse(settings["norm_topk_prob"]), float.Parse(settings["routed_scaling_factor"], CultureInfo.InvariantCulture));
        Router router = new(new LayerVector("gate", []), golden.Floats($"{name}.bias"), config);
        float[] logits = golden.Floats($"{name}.logits"), expectedWeights = golden.Floats($"{name}.topk_weight");
        int[] expected = golden.Integers($"{name}.topk_idx");
        int count = config.NRoutedExperts, each = config.NumExpertsPerTok;
        for (int token = 0; token < logits.Length / count; token++)
        {
            int[] experts = new int[each];
            float[] weights = new float[each];
            router.ChooseFrom(logits.AsSpan(token * count, count), experts, weights);
            Assert.Equal(expected[(token * each)..((token + 1) * each)], experts);
            Golden.AssertClose(expectedWeights[(token * each)..((token + 1) * each)], weights, 1e-6, $"{name}, token {token}");
        }

        int Number(string key) => int.Parse(settings[key], CultureInfo.InvariantCulture);
    }
}

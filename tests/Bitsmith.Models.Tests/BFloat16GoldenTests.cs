using Bitsmith.Models.Weights;

namespace Bitsmith.Models.Tests;

/// <summary>
/// Logits against those of transformers in bfloat16, which rounds every intermediate result: a bound on the mean divergence, over the positions up to the first one where a router chose other
/// experts, since from there on another function is computed.
/// </summary>
public sealed class BFloat16GoldenTests
{
    private const double MostMeanDivergence = 5e-4;

    public static TheoryData<string, string> Cases =>
        [.. new[] { "tiny-glm", "tiny-glm4", "tiny-glm4-moe", "tiny-glm4-moe-qknorm", "tiny-glm4v", "tiny-glm4v-moe" }.SelectMany(model => Kernels.All.Select(kernels => (model, kernels)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_diverge_little_from_those_of_transformers_in_bfloat16_where_routing_agrees(string name, string kernels)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        using Golden golden = new($"{name}/golden.safetensors");
        LanguageModel model = LanguageModel.Create(weights, Kernels.Options(kernels, threads: 2));
        List<double> divergences = [];
        int positions = 0;
        foreach (string at in golden.Names.Where(key => key.EndsWith(".input_ids", StringComparison.Ordinal)).Select(key => key[..^"input_ids".Length]).Order())
        {
            // Of vision models, the logits of the last two positions are recorded.
            (bool last, string key) = golden.Has($"{at}bf16.logits") ? (false, $"{at}bf16.logits") : (true, $"{at}bf16.logits_last2");
            float[] expected = golden.Floats(key), logits = Run(model, golden, at, out RecordingObserver seen);
            int tokens = golden.Integers($"{at}input_ids").Length, first = last ? tokens - 2 : 0, agreeing = Agreeing(golden, at, seen, tokens);
            double[] found = Divergence.AtEachPosition(expected, logits[(first * model.Config.VocabSize)..], model.Config.VocabSize);
            divergences.AddRange(found.Take(Math.Max(0, agreeing - first)));
            positions += found.Length;
        }

        Measurements measured = new(name, kernels);
        measured.Record("bfloat16 divergence", divergences.Average(), divergences.Count);
        measured.Record("bfloat16 positions", positions, positions);
        Assert.True(divergences.Average() <= MostMeanDivergence, $"{divergences.Average():g3} over {divergences.Count} of {positions} positions");
    }

    private static float[] Run(LanguageModel model, Golden golden, string at, out RecordingObserver observer)
    {
        int[] ids = golden.Integers($"{at}input_ids");
        float[] hidden = golden.Floats($"{at}f32.embed");
        int[]? positions = golden.Has($"{at}position_ids") ? golden.Integers($"{at}position_ids") : null;
        observer = new();
        model.Forward(hidden, model.NewCache(ids.Length), positions is null ? null : [.. positions.Chunk(ids.Length)], observer);
        return model.Logits(hidden);
    }

    /// <summary>Positions before the first one where any layer chose other experts.</summary>
    private static int Agreeing(Golden golden, string at, RecordingObserver seen, int tokens)
    {
        int agreeing = tokens;
        foreach ((int layer, List<int> experts) in seen.Experts)
        {
            int[] expected = golden.Integers($"{at}bf16.layer{layer}.topk_idx");
            int each = experts.Count / tokens;
            agreeing = Math.Min(agreeing, Enumerable.Range(0, tokens).TakeWhile(token => expected.AsSpan(token * each, each).SequenceEqual(experts.ToArray().AsSpan(token * each, each))).Count());
        }

        return agreeing;
    }
}

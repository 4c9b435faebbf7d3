using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>The text side of vision models, with pictures' features already in the embeddings, against transformers in float32.</summary>
public sealed class VisionTextModelTests
{
    private const double Tolerance = 1e-4;

    public static TheoryData<string, string, InstructionSet> Cases => [.. new (string, string)[]
        {
            ("tiny-glm4v", "text"), ("tiny-glm4v", "one_image"), ("tiny-glm4v", "two_images"), ("tiny-glm4v", "video"),
            ("tiny-glm4v-moe", "text"), ("tiny-glm4v-moe", "two_images"), ("tiny-glm4v-moe", "video"),
        }
        .SelectMany(model => Cpu.Available.Select(set => (model.Item1, model.Item2, set)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Layers_final_norm_logits_and_greedy_tokens_are_those_of_transformers(string name, string @case, InstructionSet set)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        using Golden golden = new($"{name}/golden.safetensors");
        LanguageModel model = LanguageModel.Create(weights, new ComputeOptions(2, set));
        string at = $"{@case}.f32.";
        float[] hidden = golden.Floats(at + "embed");
        int tokens = golden.Integers($"{@case}.input_ids").Length;
        int[] positions = golden.Integers($"{@case}.position_ids");
        RecordingObserver recorder = new();
        Measurements measured = new(name, set);
        KvCache cache = model.NewCache(tokens + 40);
        model.Forward(hidden, cache, [positions[..tokens], positions[tokens..(2 * tokens)], positions[(2 * tokens)..]], recorder);
        for (int layer = 0; layer < recorder.Layers.Count; layer++)
        {
            if (golden.Has($"{at}layer{layer}"))
            {
                measured.Close("layers", golden.Floats($"{at}layer{layer}"), recorder.Layers[layer], Tolerance, $"{at}layer{layer}");
            }

            if (golden.Has($"{at}layer{layer}.topk_idx"))
            {
                measured.Same("experts", golden.Integers($"{at}layer{layer}.topk_idx"), recorder.Experts[layer]);
                measured.Close("expert weights", golden.Floats($"{at}layer{layer}.topk_weight"), recorder.Weights[layer].ToArray(), Tolerance, $"{at}layer{layer}.topk_weight");
            }
        }

        measured.Close("final norm", golden.Floats(at + "final_norm"), hidden, Tolerance, at + "final_norm");
        float[] last = model.Logits(hidden.AsMemory((tokens - 2) * model.Config.HiddenSize));
        measured.Close("logits", golden.Floats(at + "logits_last2"), last, Tolerance, at + "logits_last2");

        int delta = golden.Integers($"{@case}.rope_delta")[0];
        int[] greedy = golden.Integers(at + "greedy");
        int next = Best(last.AsSpan(model.Config.VocabSize));
        List<int> continued = [];
        for (int step = 0; step < greedy.Length; step++)
        {
            continued.Add(next);
            int[] position = [tokens + step + delta];
            float[] one = model.Embed([next]);
            model.Forward(one, cache, [position, position, position]);
            next = Best(model.Logits(one));
        }

        measured.Same("greedy tokens", greedy, continued);
    }

    private static int Best(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            best = logits[i] > logits[best] ? i : best;
        }

        return best;
    }
}

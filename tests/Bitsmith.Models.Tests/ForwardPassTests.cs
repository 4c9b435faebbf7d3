using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>What a pass keeps and lets go: working memory, swapped weights, released layers.</summary>
public sealed class ForwardPassTests
{
    [Fact]
    public void A_token_allocates_nothing()
    {
        foreach (string name in (string[])["tiny-glm4", "tiny-glm4-moe", "small_glm4_fp8_block32"])
        {
            using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
            LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Fastest);
            KvCache cache = model.NewCache(200);
            cache.Reserve(200);
            using ForwardPass pass = model.NewPass();
            float[] hidden = new float[model.Config.HiddenSize], logits = new float[model.Config.VocabSize];
            // Code that is not yet optimized may allocate, and on a busy machine that takes a while.
            long allocated = long.MaxValue;
            for (int round = 0; round < 60 && allocated > 0; round++)
            {
                cache.Truncate(0);
                long before = GC.GetAllocatedBytesForCurrentThread();
                for (int token = 0; token < 100; token++)
                {
                    model.Embed([token % model.Config.VocabSize], hidden);
                    model.Begin(pass, new SequenceRun(cache, 1));
                    model.Forward(hidden, pass);
                    model.Logits(hidden, logits, pass);
                }

                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            }

            Assert.Equal(0, allocated);
        }
    }

    [Fact]
    public void Weights_are_swapped_for_a_pass_and_the_model_keeps_its_own()
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", "tiny-glm4-moe"));
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        int[] ids = [1, 2, 3, 4];
        using ForwardPass pass = model.NewPass();
        float[] original = Run();
        foreach (Linear linear in model.Layers.SelectMany(layer => layer.Linears))
        {
            (int rows, int columns) = (linear.Weight.Rows, linear.Weight.Columns);
            float[] values = new float[rows * columns];
            linear.Weight.Read(0, rows, values, InstructionSet.Scalar);
            byte[] same = new byte[values.Length * sizeof(float)];
            ElementConversion.FromSingle(ElementType.F32, values, same);
            pass.Replace(linear, WeightMatrix.Dense(ElementType.F32, rows, columns, TensorBytes.FromArray(same)));
            Assert.Equal(original, Run());
        }

        Linear down = model.Layers[0].Linears.Last();
        pass.Replace(down, WeightMatrix.Dense(ElementType.F32, down.Weight.Rows, down.Weight.Columns, TensorBytes.FromArray(new byte[down.Weight.Rows * down.Weight.Columns * 4])));
        Assert.NotEqual(original, Run());
        pass.Replace(down, null);
        Assert.Equal(original, Run());
        Assert.Throws<ArgumentException>(() => pass.Replace(down, model.Layers[0].Linears.First(linear => linear.Weight.Rows != down.Weight.Rows).Weight));

        float[] Run()
        {
            float[] hidden = model.Embed(ids);
            model.Begin(pass, new SequenceRun(model.NewCache(8), ids.Length));
            model.Forward(hidden, pass);
            return hidden;
        }
    }

    [Theory]
    [InlineData("tiny-glm", 2 * 5)]
    [InlineData("tiny-glm4", 3 * 7)]
    [InlineData("tiny-glm4-moe", (2 * 5) + 1)]
    [InlineData("tiny-glm4-moe-qknorm", (4 * 7) + 2)]
    public void Norms_biases_and_the_router_are_swapped_for_a_pass_and_the_model_keeps_its_own(string name, int count)
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", name));
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        int[] ids = [1, 2, 3, 4];
        using ForwardPass pass = model.NewPass();
        float[] original = Run();
        LayerVector[] vectors = [.. model.Layers.SelectMany(layer => layer.Vectors)];
        Assert.Equal(count, vectors.Select(vector => vector.Name).Distinct().Count());
        Assert.All(vectors, vector => Assert.True(weights.Has(vector.Name)));
        foreach (LayerVector vector in vectors)
        {
            pass.Replace(vector, [.. vector.Values]);
            Assert.Equal(original, Run());
            pass.Replace(vector, [.. vector.Values.Select((value, i) => 2 * value + (i % 3))]);
            Assert.NotEqual(original, Run());
            pass.Replace(vector, null);
            Assert.Equal(original, Run());
            Assert.Throws<ArgumentException>(() => pass.Replace(vector, new float[vector.Values.Length + 1]));
        }

        float[] Run()
        {
            float[] hidden = model.Embed(ids);
            model.Begin(pass, new SequenceRun(model.NewCache(8), ids.Length));
            model.Forward(hidden, pass);
            return hidden;
        }
    }

    [Fact]
    public void A_layer_whose_memory_was_released_gives_the_same_bits_again()
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", "tiny-glm4-moe"));
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        float[] first = Alone(model, [5, 6, 7]);
        for (int layer = 0; layer < model.Layers.Count; layer++)
        {
            model.ReleaseLayer(layer);
        }

        Assert.Equal(first, Alone(model, [5, 6, 7]));
    }

    [Fact]
    public void With_all_experts_each_sees_every_token_and_the_results_are_those_of_the_chosen_ones()
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", "tiny-glm4-moe"));
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        int[] prompt = [5, 6, 7, 8, 9];
        TokenCounter counter = new();
        using ForwardPass pass = model.NewPass(counter, allExperts: true);
        using KvCache cache = model.NewCache(prompt.Length);
        float[] hidden = model.Embed(prompt);
        model.Begin(pass, new SequenceRun(cache, prompt.Length));
        model.Forward(hidden, pass);
        Assert.Equal(Alone(model, prompt), hidden);
        Assert.Equal(model.Layers.SelectMany(layer => layer.Linears).ToDictionary(linear => linear.Name, _ => prompt.Length), counter.Tokens);
    }

    private sealed class TokenCounter : IForwardObserver
    {
        public Dictionary<string, int> Tokens { get; } = [];

        public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens) => Tokens[linear.Name] = Tokens.GetValueOrDefault(linear.Name) + tokens;

        public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden)
        {
        }

        public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
        {
        }
    }

    private static float[] Alone(LanguageModel model, int[] prompt)
    {
        float[] hidden = model.Embed(prompt);
        model.Forward(hidden, model.NewCache(prompt.Length));
        return hidden;
    }
}

using System.Runtime.InteropServices;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>
/// However the work is cut, the bits are the same. BITSMITH_SEED draws other prompts and cuts, BITSMITH_MODELS adds model folders (separated as in PATH).
/// </summary>
public sealed class PassTests(ITestOutputHelper output)
{
    // Longer than any block of keys or tile of tokens, and a multiple of none.
    private const int ShortestPrompt = 301, LongestPrompt = 347, MostThreads = 4;

    private static readonly int Seed = int.Parse(Environment.GetEnvironmentVariable("BITSMITH_SEED") ?? "1");

    private static readonly string[] Folders =
    [
        .. new[] { "tiny-glm", "tiny-glm4", "tiny-glm4-moe", "tiny-glm4-moe-qknorm", "tiny-glm4v", "tiny-glm4v-moe", "small_glm4_fp8_block32" }
            .Select(model => Path.Combine(AppContext.BaseDirectory, "models", model)),
        Repository.PathOf("samples", "glm-4.6v-mini"),
        .. (Environment.GetEnvironmentVariable("BITSMITH_MODELS") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries),
    ];

    public static TheoryData<string, string> Cases =>
    [
        .. Folders.SelectMany(folder => Kernels.All.Select(kernels => (Path.GetFileName(folder), kernels))),
        .. new[] { "tiny-glm4-moe-qknorm", "small_glm4_fp8_block32" }.Select(model => (model, Kernels.BFloat16Results)),
    ];

    [Theory]
    [MemberData(nameof(Cases))]
    public void One_pass_chunks_of_random_sizes_and_token_by_token_give_the_same_bits_with_any_number_of_threads(string name, string kernels)
    {
        using ModelWeights weights = ModelWeights.Open(Folders.Single(folder => Path.GetFileName(folder) == name));
        Random random = new(Seed);
        Prompt prompt = Prompt.Draw(random, weights, random.Next(ShortestPrompt, LongestPrompt + 1));
        float[] whole = Alone(weights, prompt, kernels);
        Assert.DoesNotContain(whole, value => !float.IsFinite(value));
        for (int threads = 1; threads <= MostThreads; threads++)
        {
            Check("one pass", threads, [prompt.Length]);
            Check("random chunks", threads, Chunks(random, prompt.Length));
        }

        Check("token by token", random.Next(1, MostThreads + 1), [.. Enumerable.Repeat(1, prompt.Length)]);

        void Check(string cut, int threads, int[] passes)
        {
            float[] found = Run(weights, [prompt], passes.Select(take => new[] { take }), Kernels.Options(kernels, threads))[0];
            AssertSame(name, kernels, cut, $"{passes.Length} passes of {passes.Min()} to {passes.Max()} tokens, {threads} threads", whole, found);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_batch_of_sequences_gives_each_the_bits_that_it_has_alone(string name, string kernels)
    {
        using ModelWeights weights = ModelWeights.Open(Folders.Single(folder => Path.GetFileName(folder) == name));
        Random random = new(Seed);
        Prompt[] prompts = [.. new[] { random.Next(ShortestPrompt, LongestPrompt + 1), random.Next(30, 90), random.Next(2, 30), 1 }.Select(length => Prompt.Draw(random, weights, length))];
        random.Shuffle(prompts);
        float[][] alone = [.. prompts.Select(prompt => Alone(weights, prompt, kernels))];

        // Some sequences read a long piece of their prompt while others advance by one token, as in a server; all at once at the end of the list.
        int[][] rounds = [.. Rounds(random, prompts)];
        Check(random.Next(1, MostThreads + 1), rounds);
        Check(random.Next(1, MostThreads + 1), [[.. prompts.Select(prompt => prompt.Length)]]);

        void Check(int threads, int[][] takes)
        {
            float[][] found = Run(weights, prompts, takes, Kernels.Options(kernels, threads));
            for (int i = 0; i < prompts.Length; i++)
            {
                AssertSame(name, kernels, "batch", $"sequence of {prompts[i].Length} tokens in {takes.Length} rounds of {prompts.Length} sequences, {threads} threads", alone[i], found[i]);
            }
        }
    }

    private void AssertSame(string name, string kernels, string cut, string how, float[] expected, float[] found)
    {
        int different = MemoryMarshal.Cast<float, int>(expected).ToArray().Zip(MemoryMarshal.Cast<float, int>(found).ToArray()).Count(pair => pair.First != pair.Second);
        output.WriteLine($"{name}, {kernels}, {how}: {different} of {expected.Length} numbers differ");
        new Measurements(name, kernels).Record($"bits, {cut}", different, expected.Length);
        Assert.Equal(expected.Length, found.Length);
        Assert.True(different == 0, $"{how}: {different} of {expected.Length} differ");
    }

    /// <summary>Sizes that are spread over all magnitudes.</summary>
    private static int[] Chunks(Random random, int length)
    {
        List<int> sizes = [];
        for (int left = length; left > 0; left -= sizes[^1])
        {
            sizes.Add(Math.Min(left, (int)Math.Pow(length, random.NextDouble())));
        }

        return [.. sizes];
    }

    /// <summary>In each round, how many tokens of each sequence are run; 0 leaves it out.</summary>
    private static IEnumerable<int[]> Rounds(Random random, Prompt[] prompts)
    {
        Queue<int>[] chunks = [.. prompts.Select(prompt => new Queue<int>(Chunks(random, prompt.Length)))];
        while (chunks.Any(left => left.Count > 0))
        {
            yield return [.. chunks.Select(left => left.Count > 0 && random.Next(4) > 0 ? left.Dequeue() : 0)];
        }
    }

    private static float[] Alone(ModelWeights weights, Prompt prompt, string kernels) => Run(weights, [prompt], [[prompt.Length]], Kernels.Options(kernels, 1))[0];

    /// <summary>Final hidden states and logits of every token of every sequence.</summary>
    private static float[][] Run(ModelWeights weights, Prompt[] prompts, IEnumerable<int[]> rounds, ComputeOptions compute)
    {
        LanguageModel model = LanguageModel.Create(weights, compute);
        using ForwardPass pass = model.NewPass();
        Sequence[] sequences = [.. prompts.Select(prompt => new Sequence(prompt, model))];
        foreach (int[] takes in rounds)
        {
            (Sequence Sequence, int Take)[] batch = [.. sequences.Zip(takes).Where(pair => pair.Second > 0)];
            if (batch.Length > 0)
            {
                float[] hidden = [.. batch.SelectMany(part => model.Embed(part.Sequence.Next(part.Take)))];
                model.Begin(pass, [.. batch.Select(part => part.Sequence.RunOf(part.Take))]);
                model.Forward(hidden, pass);
                float[] logits = new float[pass.Tokens * model.Config.VocabSize];
                model.Logits(hidden, logits, pass);
                int first = 0;
                foreach ((Sequence sequence, int take) in batch)
                {
                    sequence.Keep(hidden.AsSpan(first * model.Config.HiddenSize, take * model.Config.HiddenSize), logits.AsSpan(first * model.Config.VocabSize, take * model.Config.VocabSize));
                    first += take;
                }
            }
        }

        return [.. sequences.Select(sequence => sequence.Result)];
    }

    /// <summary>Random tokens, and for vision models positions that advance unevenly on the three axes, as with pictures.</summary>
    private sealed record Prompt(int[] Ids, int[][]? Positions)
    {
        public int Length => Ids.Length;

        public static Prompt Draw(Random random, ModelWeights weights, int length)
        {
            LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
            int[] ids = [.. Enumerable.Range(0, length).Select(_ => random.Next(model.Config.VocabSize))];
            if (model.Config.MropeSection is null)
            {
                return new Prompt(ids, null);
            }

            int[][] positions = [.. Enumerable.Range(0, 3).Select(_ => new int[length])];
            foreach (int[] axis in positions)
            {
                for (int token = 1; token < length; token++)
                {
                    axis[token] = axis[token - 1] + random.Next(3);
                }
            }

            return new Prompt(ids, positions);
        }
    }

    /// <summary>A prompt on its way through the model.</summary>
    private sealed class Sequence(Prompt prompt, LanguageModel model)
    {
        private readonly KvCache cache = model.NewCache(prompt.Length);
        private readonly List<float> states = [], logits = [];

        public float[] Result => [.. states, .. logits];

        public ReadOnlySpan<int> Next(int tokens) => prompt.Ids.AsSpan(cache.Length, tokens);

        public SequenceRun RunOf(int tokens) => prompt.Positions is null ? new(cache, tokens) : new(cache, tokens, prompt.Positions, cache.Length);

        public void Keep(ReadOnlySpan<float> newStates, ReadOnlySpan<float> newLogits)
        {
            states.AddRange(newStates);
            logits.AddRange(newLogits);
        }
    }
}

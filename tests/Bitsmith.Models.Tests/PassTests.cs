using System.Runtime.InteropServices;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.InstructionSets;
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

    public static TheoryData<string, InstructionSet> Cases => [.. Folders.SelectMany(folder => Cpu.Available.Select(set => (Path.GetFileName(folder), set)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void One_pass_chunks_of_random_sizes_and_token_by_token_give_the_same_bits_with_any_number_of_threads(string name, InstructionSet set)
    {
        using ModelWeights weights = ModelWeights.Open(Folders.Single(folder => Path.GetFileName(folder) == name));
        Random random = new(Seed);
        Prompt prompt = Prompt.Draw(random, LanguageModel.Create(weights, new ComputeOptions(1, set)).Config.VocabSize);
        float[] whole = Run(weights, prompt, [prompt.Length], new ComputeOptions(1, set));
        List<string> wrong = [];
        int runs = 0;
        foreach ((int threads, int[] passes) in Cuts(random, prompt.Length))
        {
            float[] found = Run(weights, prompt, passes, new ComputeOptions(threads, set));
            int different = MemoryMarshal.Cast<float, int>(whole).ToArray().Zip(MemoryMarshal.Cast<float, int>(found).ToArray()).Count(pair => pair.First != pair.Second);
            string cut = $"{passes.Length} passes of {passes.Min()} to {passes.Max()} tokens, {threads} threads";
            output.WriteLine($"{name}, {set}, {prompt.Length} tokens in {cut}: {different} of {whole.Length} numbers differ");
            new Measurements(name, set).Record($"bits, {(passes.Length == 1 ? "one pass" : passes.Length == prompt.Length ? "token by token" : "random chunks")}", different, whole.Length);
            runs++;
            if (different > 0)
            {
                wrong.Add($"{cut}: {different} of {whole.Length} differ");
            }
        }

        Assert.Empty(wrong);
        Assert.Equal((2 * MostThreads) + 1, runs);
        Assert.DoesNotContain(whole, value => !float.IsFinite(value));
    }

    /// <summary>One pass, token by token, and random chunks, with every number of threads.</summary>
    private static IEnumerable<(int Threads, int[] Passes)> Cuts(Random random, int length)
    {
        for (int threads = 1; threads <= MostThreads; threads++)
        {
            yield return (threads, [length]);
            yield return (threads, Chunks(random, length));
        }

        yield return (random.Next(1, MostThreads + 1), [.. Enumerable.Repeat(1, length)]);
    }

    /// <summary>Sizes that are spread over all magnitudes.</summary>
    private static int[] Chunks(Random random, int length)
    {
        List<int> sizes = [];
        for (int left = length; left > 0; left -= sizes[^1])
        {
            sizes.Add(Math.Min(left, (int)Math.Pow(length - 1, random.NextDouble())));
        }

        return [.. sizes];
    }

    /// <summary>Final hidden states and logits of every token.</summary>
    private static float[] Run(ModelWeights weights, Prompt prompt, int[] passes, ComputeOptions compute)
    {
        LanguageModel model = LanguageModel.Create(weights, compute);
        KvCache cache = model.NewCache(prompt.Length);
        List<float> states = [], logits = [];
        int start = 0;
        foreach (int tokens in passes)
        {
            float[] hidden = model.Embed(prompt.Ids.AsSpan(start, tokens));
            model.Forward(hidden, cache, model.Config.MropeSection is null ? null : [.. prompt.Positions.Select(axis => axis[start..(start + tokens)])]);
            states.AddRange(hidden);
            logits.AddRange(model.Logits(hidden));
            start += tokens;
        }

        return [.. states, .. logits];
    }

    /// <summary>Random tokens, and for vision models positions that advance unevenly on the three axes, as with pictures.</summary>
    private sealed record Prompt(int[] Ids, int[][] Positions)
    {
        public int Length => Ids.Length;

        public static Prompt Draw(Random random, int vocabulary)
        {
            int length = random.Next(ShortestPrompt, LongestPrompt + 1);
            int[][] positions = [.. Enumerable.Range(0, 3).Select(_ => new int[length])];
            foreach (int[] axis in positions)
            {
                for (int token = 1; token < length; token++)
                {
                    axis[token] = axis[token - 1] + random.Next(3);
                }
            }

            return new Prompt([.. Enumerable.Range(0, length).Select(_ => random.Next(vocabulary))], positions);
        }
    }
}

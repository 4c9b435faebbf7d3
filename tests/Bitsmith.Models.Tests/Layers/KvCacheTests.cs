using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests.Layers;

public sealed class KvCacheTests
{
    private static readonly ElementType[] Types = [ElementType.F32, ElementType.BF16, ElementType.F16, ElementType.F8E4M3];

    // More than two blocks of the attention kernel, and a multiple of nothing.
    private static readonly int[] Ids = [.. Enumerable.Range(0, 149).Select(i => (i * i * 7 + i) % 199)];

    public static TheoryData<ElementType, InstructionSet> Cases => [.. Types.SelectMany(type => Cpu.Available.Select(set => (type, set)))];

    public static TheoryData<string, ElementType> Rounded =>
        [.. new[] { "tiny-glm", "tiny-glm4" }.SelectMany(model => Types.Skip(1).Select(type => (model, type)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Chunks_of_any_size_and_any_threads_give_the_same_bits_with_every_type(ElementType type, InstructionSet set)
    {
        using ModelWeights weights = Open("tiny-glm4");
        float[] whole = Run(Ids.Length, threads: 1);
        foreach (int chunk in (int[])[1, 7, 100])
        {
            Assert.Equal(whole, Run(chunk, threads: 1 + (chunk % 5)));
        }

        float[] Run(int chunk, int threads)
        {
            LanguageModel model = LanguageModel.Create(weights, new ComputeOptions(threads, set));
            using KvCache cache = model.NewCache(Ids.Length, type);
            return Logits(model, cache, Ids, chunk);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_truncated_sequence_goes_on_as_if_the_rest_had_never_been(ElementType type, InstructionSet set)
    {
        using ModelWeights weights = Open("tiny-glm4");
        LanguageModel model = LanguageModel.Create(weights, new ComputeOptions(2, set));
        using KvCache fresh = model.NewCache(200, type), used = model.NewCache(200, type);
        float[] expected = Logits(model, fresh, Ids, 32);
        Logits(model, used, [.. Ids[..70], .. Enumerable.Repeat(3, 60)], 50);
        used.Truncate(70);
        Assert.Equal(70, used.Length);
        float[] rest = Logits(model, used, Ids[70..], 50);
        Assert.Equal(expected[^rest.Length..], rest);
    }

    [Theory]
    [MemberData(nameof(Rounded))]
    public void Logits_move_with_the_rounding_of_the_type(string name, ElementType type)
    {
        using ModelWeights weights = Open(name);
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        using KvCache exact = model.NewCache(Ids.Length), rounded = model.NewCache(Ids.Length, type);
        float[] expected = Logits(model, exact, Ids, Ids.Length), actual = Logits(model, rounded, Ids, Ids.Length);
        double moved = Math.Sqrt(expected.Zip(actual, (x, y) => Math.Pow((double)x - y, 2)).Sum() / expected.Sum(x => Math.Pow(x, 2)));

        // Each stored number is off by at most this part of itself: half a unit of 8, 11 or 4 significant bits. Over all logits, errors of single numbers average out and those of scores and
        // layers add up: the root mean square moves by about half of the largest single error. Dense models: in a mixture, the smallest change can choose another expert.
        double roundoff = type switch { ElementType.BF16 => Math.ScaleB(1, -8), ElementType.F16 => Math.ScaleB(1, -11), _ => Math.ScaleB(1, -4) };
        Assert.InRange(moved, roundoff / 10, roundoff);
    }

    [Fact]
    public void Memory_is_taken_when_needed_doubles_up_to_the_limit_and_goes_by_the_size_of_the_type()
    {
        foreach (ElementType type in Types)
        {
            // Keys in whole groups of 16 positions, values in rows of 32 channels.
            long Expected(int positions) => 3 * 2 * type.Bytes() * (((positions + 15) / 16 * 16 * 20) + (positions * 32));
            using KvCache cache = new(3, 2, 20, 100, type);
            Assert.Equal(0, cache.Bytes);
            foreach ((int tokens, int room) in ((int, int)[])[(5, 5), (1, 10), (4, 10), (1, 20), (30, 41), (59, 100)])
            {
                cache.Reserve(tokens);
                cache.Advance(tokens);
                Assert.Equal(Expected(room), cache.Bytes);
            }

            Assert.Equal(100, cache.Length);
            InvalidOperationException refusal = Assert.Throws<InvalidOperationException>(() => cache.Reserve(1));
            Assert.Contains("101 tokens do not fit into a context of 100", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Inside_its_room_a_cache_allocates_nothing()
    {
        using KvCache cache = new(1, 2, 24, 64, ElementType.BF16);
        float[] row = new float[24];
        cache.Reserve(64);
        Add();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 1; i < 64; i++)
        {
            Add();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Add()
        {
            cache.Reserve(1);
            cache.Store(0, 0, cache.Length, row, row, Cpu.Default);
            cache.Store(0, 1, cache.Length, row, row, Cpu.Default);
            cache.Advance(1);
        }
    }

    [Fact]
    public void A_disposed_cache_holds_nothing_and_refuses_tokens()
    {
        KvCache cache = new(1, 1, 8, 10);
        cache.Reserve(1);
        cache.Dispose();
        cache.Dispose();
        Assert.Equal(0, cache.Bytes);
        Assert.Throws<ObjectDisposedException>(() => cache.Reserve(1));
        Assert.Equal(0, cache.Keys(0, 0).Length);
    }

    [Theory]
    [InlineData(ElementType.F8E5M2)]
    [InlineData(ElementType.I8)]
    [InlineData(ElementType.F64)]
    public void Other_types_are_refused_with_the_names_of_those_that_work(ElementType type)
    {
        ArgumentException refusal = Assert.Throws<ArgumentException>(() => new KvCache(1, 1, 8, 10, type));
        Assert.Contains(type.SafetensorsName(), refusal.Message, StringComparison.Ordinal);
        Assert.Contains("F32, BF16, F16 and F8_E4M3", refusal.Message, StringComparison.Ordinal);
    }

    private static ModelWeights Open(string model) => ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "models", model));

    private static float[] Logits(LanguageModel model, KvCache cache, int[] ids, int chunk)
    {
        List<float> logits = [];
        foreach (int[] part in ids.Chunk(chunk))
        {
            float[] hidden = model.Embed(part);
            model.Forward(hidden, cache);
            logits.AddRange(model.Logits(hidden));
        }

        return [.. logits];
    }
}

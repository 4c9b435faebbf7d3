using System.Diagnostics;
using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Benchmarks;

/// <summary>
/// The attention of one key/value head on one thread: a prompt of 512 tokens, and single tokens behind 4096 positions, by query heads and type of the stored keys and values. The best of
/// several runs. Operations: 4 for each channel, query and visible position; bytes: the stored keys and values, once.
/// </summary>
internal static class QuickAttention
{
    private const int HeadDim = 128, PromptTokens = 512, Positions = 4096, RowsPerCall = 128, Runs = 7;

    private static readonly TimeSpan RunTime = TimeSpan.FromMilliseconds(60);

    /// <summary>Measures and prints a Markdown table.</summary>
    public static void Run()
    {
        Console.WriteLine("| tokens | positions | heads | keys and values | instruction set | us | GFLOP/s | GB/s |");
        Console.WriteLine("|---:|---:|---:|---|---|---:|---:|---:|");
        foreach (InstructionSet set in Cpu.Available)
        {
            foreach (ElementType type in (ElementType[])[ElementType.F32, ElementType.BF16, ElementType.F16, ElementType.F8E4M3])
            {
                Measure(PromptTokens, PromptTokens, 8, type, set);
                foreach (int heads in (int[])[1, 8, 16])
                {
                    Measure(1, Positions, heads, type, set);
                }
            }
        }
    }

    private static unsafe void Measure(int tokens, int positions, int heads, ElementType type, InstructionSet set)
    {
        int keyBytes = (int)KeyValueLayout.KeyBytes(type, HeadDim, positions), valueBytes = (int)KeyValueLayout.ValueBytes(type, HeadDim, positions);
        int row = heads * HeadDim, each = Math.Min(tokens, Math.Max(1, RowsPerCall / heads)), scratchFloats = AttentionKernel.ScratchFloats(each * heads, HeadDim, type);
        using AlignedMemory keyMemory = new(), valueMemory = new(), scratchMemory = new();
        byte* keys = keyMemory.Require(keyBytes), values = valueMemory.Require(valueBytes), scratch = scratchMemory.Require(scratchFloats * sizeof(float));
        Random random = new(1);
        float[] stored = new float[HeadDim], queries = new float[tokens * row], outputs = new float[queries.Length];
        for (int position = 0; position < positions; position++)
        {
            Fill(stored);
            KeyValueLayout.StoreKey(type, new Span<byte>(keys, keyBytes), position, stored, set);
            KeyValueLayout.StoreValue(type, new Span<byte>(values, valueBytes), position, stored, set);
        }

        Fill(queries);
        double best = double.PositiveInfinity;
        for (int run = 0; run <= Runs; run++)
        {
            long start = Stopwatch.GetTimestamp();
            int calls = 0;
            for (; Stopwatch.GetElapsedTime(start) < RunTime; calls++)
            {
                for (int token = 0; token < tokens; token += each)
                {
                    AttentionShape shape = new(Math.Min(each, tokens - token), heads, HeadDim, row, row, positions - tokens + token + 1, Causal: true);
                    AttentionKernel.Attend(
                        shape, queries.AsSpan(token * row), type, new ReadOnlySpan<byte>(keys, keyBytes), new ReadOnlySpan<byte>(values, valueBytes), outputs.AsSpan(token * row),
                        new Span<float>(scratch, scratchFloats), set);
                }
            }

            best = run == 0 ? best : Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / calls); // the first warms up
        }

        double pairs = tokens * (positions - ((tokens - 1) / 2.0)), operations = 4.0 * HeadDim * heads * pairs;
        Console.WriteLine(
            $"| {tokens} | {positions} | {heads} | {type.SafetensorsName()} | {set.ToString().ToLowerInvariant()} | {best * 1e6:0} | {operations / best / 1e9:0.0} | {(keyBytes + valueBytes) / best / 1e9:0.0} |");

        void Fill(float[] target)
        {
            for (int i = 0; i < target.Length; i++)
            {
                target[i] = random.NextSingle() - 0.5f;
            }
        }
    }
}

using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Models.Layers;

/// <summary>
/// Causal attention with grouped key/value heads: head h attends with key/value head h / (H/K); scores q·k / √d, softmax and sums in binary32. A token's result depends on the
/// tokens before it alone, not on how the run was cut into passes.
/// </summary>
internal sealed class Attention
{
    // Queries that use a widened block of keys and values; their outputs stay in the second-level cache.
    private const int RowsPerTask = 128;

    private readonly int layer, heads, kvHeads, headDim;
    private readonly RotaryPairing pairing;

    public Attention(int layer, int heads, int kvHeads, int headDim, RotaryPairing pairing)
    {
        (this.layer, this.heads, this.kvHeads, this.headDim, this.pairing) = (layer, heads, kvHeads, headDim, pairing);
    }

    public required Linear Query { get; init; }

    public required Linear Key { get; init; }

    public required Linear Value { get; init; }

    public required Linear Output { get; init; }

    /// <summary>Norms of each head of q and k, before the rotation; null where the model has none.</summary>
    public RmsNorm? QueryNorm { get; init; }

    /// <inheritdoc cref="QueryNorm"/>
    public RmsNorm? KeyNorm { get; init; }

    /// <summary>The Linears, in the order in which they are applied.</summary>
    public IEnumerable<Linear> Linears => [Query, Key, Value, Output];

    /// <summary>Biases, and norms of heads.</summary>
    public IEnumerable<LayerVector> Vectors =>
        [.. Linears.SelectMany(linear => linear.Vectors), .. QueryNorm is null ? [] : (LayerVector[])[QueryNorm.Weight], .. KeyNorm is null ? [] : (LayerVector[])[KeyNorm.Weight]];

    /// <summary>output = Wo · attention(Wq x, Wk x, Wv x), for [tokens × D].</summary>
    public void Forward(ReadOnlyMemory<float> input, Memory<float> output, ForwardPass pass)
    {
        int tokens = pass.Tokens;
        Memory<float> queries = pass.Buffer(PassBuffer.Queries, tokens * heads * headDim), attended = pass.Buffer(PassBuffer.Attended, queries.Length);
        Memory<float> keys = pass.Buffer(PassBuffer.Keys, tokens * kvHeads * headDim), values = pass.Buffer(PassBuffer.Values, keys.Length);
        pass.Inputs.Set(input, tokens);
        Query.Forward(pass.Inputs, queries, pass);
        Key.Forward(pass.Inputs, keys, pass);
        Value.Forward(pass.Inputs, values, pass);
        QueryNorm?.Apply(pass.ValuesOf(QueryNorm.Weight), queries.Span, queries.Span, pass.Compute);
        KeyNorm?.Apply(pass.ValuesOf(KeyNorm.Weight), keys.Span, keys.Span, pass.Compute);

        StoreTask store = new(this, queries, keys, values, pass);
        pass.Compute.Run(store.Count, store);
        AttendTask attend = new(this, queries, attended, pass);
        pass.Compute.Run(attend.Count, attend);
        Output.Forward(attended, tokens, output, pass);
    }

    private int RowWidth => heads * headDim;

    private int KeyWidth => kvHeads * headDim;

    /// <summary>
    /// Rotates queries and keys, and puts keys and values into the caches: for the new tokens of a sequence that lie in one block of positions, so that no two tasks store into one group.
    /// </summary>
    private readonly struct StoreTask(Attention layer, Memory<float> queries, Memory<float> keys, Memory<float> values, ForwardPass pass) : IParallelWork
    {
        public int Count
        {
            get
            {
                int count = 0;
                foreach (SequenceRun run in pass.Runs)
                {
                    count += Blocks(run);
                }

                return count;
            }
        }

        public void Run(int task)
        {
            int first = 0;
            foreach (SequenceRun run in pass.Runs)
            {
                int blocks = Blocks(run);
                if (task < blocks)
                {
                    int start = run.Cache.Length, from = ((start / AttentionKernel.Block) + task) * AttentionKernel.Block;
                    for (int position = Math.Max(start, from); position < Math.Min(start + run.Tokens, from + AttentionKernel.Block); position++)
                    {
                        Store(run.Cache, position, first + position - start);
                    }

                    return;
                }

                (task, first) = (task - blocks, first + run.Tokens);
            }
        }

        private void Store(KvCache cache, int position, int token)
        {
            Span<float> query = queries.Span.Slice(token * layer.RowWidth, layer.RowWidth);
            Span<float> key = keys.Span.Slice(token * layer.KeyWidth, layer.KeyWidth), value = values.Span.Slice(token * layer.KeyWidth, layer.KeyWidth);
            RotaryEmbedding.Rotate(query, layer.headDim, pass.Rotary, token, layer.pairing, pass.Compute);
            RotaryEmbedding.Rotate(key, layer.headDim, pass.Rotary, token, layer.pairing, pass.Compute);
            for (int head = 0; head < layer.kvHeads; head++)
            {
                cache.Store(layer.layer, head, position, key.Slice(head * layer.headDim, layer.headDim), value.Slice(head * layer.headDim, layer.headDim), pass.Compute.InstructionSet);
            }
        }

        private static int Blocks(SequenceRun run) =>
            run.Tokens == 0 ? 0 : ((run.Cache.Length + run.Tokens - 1) / AttentionKernel.Block) - (run.Cache.Length / AttentionKernel.Block) + 1;
    }

    /// <summary>
    /// Attention of some tokens of a sequence with one key/value head: all queries of the head or, where there would be fewer tasks than threads, a part of them.
    /// </summary>
    private readonly struct AttendTask : IParallelWork
    {
        private readonly Attention layer;
        private readonly Memory<float> queries, attended;
        private readonly ForwardPass pass;
        private readonly int group, tokensEach, parts, headsEach;

        public AttendTask(Attention layer, Memory<float> queries, Memory<float> attended, ForwardPass pass)
        {
            (this.layer, this.queries, this.attended, this.pass) = (layer, queries, attended, pass);
            group = layer.heads / layer.kvHeads;
            tokensEach = Math.Max(1, RowsPerTask / group);
            (parts, headsEach) = (1, group);
            int whole = Count;
            if (whole < pass.Compute.Threads)
            {
                headsEach = Math.Max(1, group * whole / pass.Compute.Threads);
                parts = (group + headsEach - 1) / headsEach;
            }
        }

        public int Count
        {
            get
            {
                int count = 0;
                foreach (SequenceRun run in pass.Runs)
                {
                    count += Tiles(run) * layer.kvHeads * parts;
                }

                return count;
            }
        }

        public void Run(int task)
        {
            int first = 0;
            foreach (SequenceRun run in pass.Runs)
            {
                int tasks = Tiles(run) * layer.kvHeads * parts;
                if (task < tasks)
                {
                    (int place, int part) = Math.DivRem(task, parts);
                    (int head, int tile) = Math.DivRem(place, Tiles(run));
                    Attend(run, first, head, tile * tokensEach, part * headsEach);
                    return;
                }

                (task, first) = (task - tasks, first + run.Tokens);
            }
        }

        private void Attend(SequenceRun run, int first, int head, int token, int part)
        {
            KvCache cache = run.Cache;
            int offset = ((first + token) * layer.RowWidth) + (((head * group) + part) * layer.headDim);
            AttentionShape shape = new(
                Math.Min(tokensEach, run.Tokens - token), Math.Min(headsEach, group - part), layer.headDim, layer.RowWidth, layer.RowWidth, cache.Length + token + 1, Causal: true);
            AttentionArithmetic.Attend(
                shape, queries.Span[offset..], cache.Type, cache.Keys(layer.layer, head), cache.Values(layer.layer, head), attended.Span[offset..],
                ThreadScratch.Take<float>(AttentionArithmetic.ScratchFloats(shape.Rows, shape.Positions, layer.headDim, cache.Type, pass.Compute)), pass.Compute);
        }

        private int Tiles(SequenceRun run) => (run.Tokens + tokensEach - 1) / tokensEach;
    }
}

using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>
/// Causal attention with grouped key/value heads: head h attends with key/value head h / (H/K); scores q·k / √d, softmax and sums in binary32. A token's result depends on the
/// tokens before it alone, not on how the run was cut into passes.
/// </summary>
internal sealed class Attention
{
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
        QueryNorm?.Apply(queries.Span, queries.Span, pass.Compute.InstructionSet);
        KeyNorm?.Apply(keys.Span, keys.Span, pass.Compute.InstructionSet);

        int first = 0;
        foreach (SequenceRun run in pass.Runs)
        {
            Store(run, first, queries.Span, keys.Span, values.Span, pass);
            SequenceRun current = run;
            int start = first;
            pass.Compute.For(heads, head =>
            {
                float[] scores = new float[current.Cache.Length + current.Tokens];
                for (int token = 0; token < current.Tokens; token++)
                {
                    Span<float> result = Head(attended.Span, start + token, head, heads);
                    result.Clear();
                    Attend(
                        Head(queries.Span, start + token, head, heads), head / (heads / kvHeads), scores.AsSpan(0, current.Cache.Length + token + 1), result, current.Cache, pass.Compute.InstructionSet);
                }
            });
            first += run.Tokens;
        }

        Output.Forward(attended, tokens, output, pass);
    }

    /// <summary>Rotates queries and keys, and puts keys and values into the cache.</summary>
    private void Store(SequenceRun run, int first, Span<float> queries, Span<float> keys, Span<float> values, ForwardPass pass)
    {
        for (int token = first; token < first + run.Tokens; token++)
        {
            for (int head = 0; head < heads; head++)
            {
                RotaryEmbedding.Rotate(Head(queries, token, head, heads), pass.Rotary, token, pairing);
            }

            for (int head = 0; head < kvHeads; head++)
            {
                Span<float> key = Head(keys, token, head, kvHeads);
                RotaryEmbedding.Rotate(key, pass.Rotary, token, pairing);
                key.CopyTo(run.Cache.Key(layer, head, run.Cache.Length + token - first));
                Head(values, token, head, kvHeads).CopyTo(run.Cache.Value(layer, head, run.Cache.Length + token - first));
            }
        }
    }

    private void Attend(ReadOnlySpan<float> query, int kvHead, Span<float> scores, Span<float> result, KvCache cache, InstructionSet instructionSet)
    {
        float scale = 1 / MathF.Sqrt(headDim), largest = float.NegativeInfinity;
        for (int position = 0; position < scores.Length; position++)
        {
            scores[position] = DotProduct.Of(query, cache.Key(layer, kvHead, position), instructionSet) * scale;
            largest = MathF.Max(largest, scores[position]);
        }

        float sum = 0;
        for (int position = 0; position < scores.Length; position++)
        {
            scores[position] = MathF.Exp(scores[position] - largest);
            sum += scores[position];
        }

        for (int position = 0; position < scores.Length; position++)
        {
            float weight = scores[position] / sum;
            ReadOnlySpan<float> value = cache.Value(layer, kvHead, position);
            for (int i = 0; i < result.Length; i++)
            {
                result[i] += weight * value[i];
            }
        }
    }

    private Span<float> Head(Span<float> rows, int token, int head, int count) => rows.Slice(((token * count) + head) * headDim, headDim);
}

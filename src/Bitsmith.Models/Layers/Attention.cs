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

    /// <summary>output = Wo · attention(Wq x, Wk x, Wv x), for [tokens × D].</summary>
    public void Forward(ReadOnlyMemory<float> input, Memory<float> output, ForwardPass pass)
    {
        int tokens = pass.Tokens;
        float[] queries = new float[tokens * heads * headDim], keys = new float[tokens * kvHeads * headDim], values = new float[keys.Length];
        Query.Forward(input, tokens, queries, pass);
        Key.Forward(input, tokens, keys, pass);
        Value.Forward(input, tokens, values, pass);
        QueryNorm?.Apply(queries, queries, pass.Compute.InstructionSet);
        KeyNorm?.Apply(keys, keys, pass.Compute.InstructionSet);

        KvCache cache = pass.Cache;
        int start = cache.Length;
        for (int token = 0; token < tokens; token++)
        {
            for (int head = 0; head < heads; head++)
            {
                RotaryEmbedding.Rotate(Head(queries, token, head, heads), pass.Rotary, token, pairing);
            }

            for (int head = 0; head < kvHeads; head++)
            {
                Span<float> key = Head(keys, token, head, kvHeads);
                RotaryEmbedding.Rotate(key, pass.Rotary, token, pairing);
                key.CopyTo(cache.Key(layer, head, start + token));
                Head(values, token, head, kvHeads).CopyTo(cache.Value(layer, head, start + token));
            }
        }

        float[] attended = new float[queries.Length];
        pass.Compute.For(heads, head =>
        {
            float[] scores = new float[start + tokens];
            for (int token = 0; token < tokens; token++)
            {
                Attend(Head(queries, token, head, heads), head / (heads / kvHeads), scores.AsSpan(0, start + token + 1), Head(attended, token, head, heads), cache, pass.Compute.InstructionSet);
            }
        });
        Output.Forward(attended, tokens, output, pass);
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

    private Span<float> Head(float[] rows, int token, int head, int count) => rows.AsSpan(((token * count) + head) * headDim, headDim);
}

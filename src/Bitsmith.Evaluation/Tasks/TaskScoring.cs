using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Text;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>
/// Scores the choices of items as llama-perplexity does (--hellaswag, --winogrande, --multiple-choice): the mean log-probability of the tokens that count; the highest is the choice. Several items
/// run together: first the tokens that the texts of each share, once, then the rest of every text from a copy of their keys and values. Logits are computed where a token counts. The results are
/// those of every text run alone.
/// </summary>
public sealed class TaskScoring : IDisposable
{
    // Tokens in a pass, and in the caches of items that run together; an item may have more of its own.
    private const int PassTokens = 512, CachedTokens = 4096;

    // Rows of logits at a time: of a vocabulary of 151552, 39 MB.
    private const int LogitsRows = 64;

    private readonly LanguageModel model;
    private readonly Tokenizer tokenizer;
    private readonly int contextSize;
    private readonly ElementType cacheType;
    private readonly ForwardPass pass;
    private readonly List<KvCache> caches = [];
    private float[] hidden = [], chosen = [], logits = [];

    /// <summary>Prepares scoring.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="contextSize">Most tokens of a text.</param>
    /// <param name="cacheType">What keys and values are stored as.</param>
    public TaskScoring(LanguageModel model, Tokenizer tokenizer, int contextSize, ElementType cacheType = ElementType.F16)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentOutOfRangeException.ThrowIfLessThan(contextSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(contextSize, model.Config.MaxPositionEmbeddings);
        (this.model, this.tokenizer, this.contextSize, this.cacheType) = (model, tokenizer, contextSize, cacheType);
        pass = model.NewPass();
    }

    /// <summary>Scores items, in order.</summary>
    /// <param name="items">The items.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="ItemTooLongException">A text is longer than the context.</exception>
    /// <exception cref="CheckpointException">Nothing of a choice can be scored, or the model gives no finite number.</exception>
    public IEnumerable<ItemResult> Score(IEnumerable<ChoiceItem> items, CancellationToken cancellationToken = default)
    {
        List<ChoiceTokens> together = [];
        (int shared, int rest, int cached) = (0, 0, 0);
        foreach (ChoiceTokens item in items.Select(item => ChoiceTokens.Of(item, tokenizer, contextSize)))
        {
            int keep = item.Shared + item.Sequences.Sum(sequence => sequence.Length);
            if (together.Count > 0 && (shared + item.Shared > PassTokens || rest + item.Rest > PassTokens || cached + keep > CachedTokens))
            {
                foreach (ItemResult result in Run(together, cancellationToken))
                {
                    yield return result;
                }

                together.Clear();
                (shared, rest, cached) = (0, 0, 0);
            }

            together.Add(item);
            (shared, rest, cached) = (shared + item.Shared, rest + item.Rest, cached + keep);
        }

        foreach (ItemResult result in Run(together, cancellationToken))
        {
            yield return result;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        pass.Dispose();
        foreach (KvCache cache in caches)
        {
            cache.Dispose();
        }
    }

    private List<ItemResult> Run(List<ChoiceTokens> items, CancellationToken cancellationToken)
    {
        Dictionary<(int Item, int Sequence, int Position), List<(int Choice, int Token)>> wanted = [];
        double[][] sums = new double[items.Count][];
        for (int item = 0; item < items.Count; item++)
        {
            sums[item] = new double[items[item].Sequences.Length];
            for (int choice = 0; choice < sums[item].Length; choice++)
            {
                foreach ((int sequence, int position, int token) in items[item].Predictions[choice])
                {
                    // What the shared tokens predict is found with the first sequence.
                    (int, int, int) key = (item, position < items[item].Shared ? 0 : sequence, position);
                    wanted.TryAdd(key, []);
                    wanted[key].Add((choice, token));
                }
            }
        }

        List<Part> parts = [];
        for (int item = 0; item < items.Count; item++)
        {
            if (items[item].Shared > 0)
            {
                parts.Add(new Part(item, 0, 0, items[item].Sequences[0].AsMemory(0, items[item].Shared), Cache(item)));
            }
        }

        RunParts(parts, wanted, sums, cancellationToken);
        parts.Clear();
        int next = items.Count;
        for (int item = 0; item < items.Count; item++)
        {
            for (int choice = 0; choice < items[item].Sequences.Length; choice++)
            {
                KvCache cache = Cache(next++);
                if (items[item].Shared > 0)
                {
                    cache.CopyFrom(caches[item]);
                }

                parts.Add(new Part(item, choice, items[item].Shared, items[item].Sequences[choice].AsMemory(items[item].Shared), cache));
            }
        }

        RunParts(parts, wanted, sums, cancellationToken);
        return [.. items.Select((item, index) => Result(item, sums[index]))];
    }

    /// <summary>Runs tokens of sequences, some sequences at a time, and adds the log-probabilities that are wanted.</summary>
    private void RunParts(List<Part> parts, Dictionary<(int Item, int Sequence, int Position), List<(int Choice, int Token)>> wanted, double[][] sums, CancellationToken cancellationToken)
    {
        int width = model.Config.HiddenSize;
        for (int start = 0; start < parts.Count;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int end = start, tokens = 0;
            for (; end < parts.Count && (end == start || tokens + parts[end].Tokens.Length <= PassTokens); end++)
            {
                tokens += parts[end].Tokens.Length;
            }

            Span<float> state = Room(ref hidden, tokens * width).Span;
            List<(int Row, int Item, List<(int Choice, int Token)> Counted)> rows = [];
            int row = 0;
            foreach (Part part in parts[start..end])
            {
                model.Embed(part.Tokens.Span, state.Slice(row * width, part.Tokens.Length * width));
                for (int i = 0; i < part.Tokens.Length; i++, row++)
                {
                    if (wanted.TryGetValue((part.Item, part.Choice, part.First + i), out var counted))
                    {
                        rows.Add((row, part.Item, counted));
                    }
                }
            }

            model.Begin(pass, [.. parts[start..end].Select(part => new SequenceRun(part.Cache, part.Tokens.Length))]);
            model.Forward(hidden.AsMemory(0, tokens * width), pass);
            Count(rows, sums);
            start = end;
        }
    }

    private void Count(List<(int Row, int Item, List<(int Choice, int Token)> Counted)> rows, double[][] sums)
    {
        (int width, int vocabulary) = (model.Config.HiddenSize, model.Config.VocabSize);
        for (int first = 0; first < rows.Count; first += LogitsRows)
        {
            int count = Math.Min(LogitsRows, rows.Count - first);
            Memory<float> states = Room(ref chosen, count * width), found = Room(ref logits, count * vocabulary);
            for (int i = 0; i < count; i++)
            {
                hidden.AsSpan(rows[first + i].Row * width, width).CopyTo(states.Span[(i * width)..]);
            }

            model.Logits(states, found, pass);
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<float> row = found.Span.Slice(i * vocabulary, vocabulary);
                (_, float largest, double logSum) = TokenLoss.Of(row, 0, pass.Compute.InstructionSet);
                foreach ((int choice, int token) in rows[first + i].Counted)
                {
                    sums[rows[first + i].Item][choice] += row[token] - largest - logSum;
                }
            }
        }
    }

    private static ItemResult Result(ChoiceTokens item, double[] sums)
    {
        double[] scores = [.. sums.Select((sum, choice) => sum / item.Predictions[choice].Length)];
        if (!scores.All(double.IsFinite))
        {
            throw new CheckpointException(item.Item.Place.File, $"{item.Item.Place.Where}: the model gives it a probability that is no number. The model is damaged, or its activations overflow; --activations exact tells.");
        }

        int best = 0;
        for (int choice = 1; choice < scores.Length; choice++)
        {
            bool better = item.Item.After is null ? scores[choice] > scores[best] : scores[choice] >= scores[best];
            best = better ? choice : best;
        }

        return new ItemResult(item.Item.Place, scores, best, item.Item.Right[best]);
    }

    /// <summary>An empty cache of those that are kept.</summary>
    private KvCache Cache(int index)
    {
        while (caches.Count <= index)
        {
            caches.Add(model.NewCache(contextSize, cacheType));
        }

        caches[index].Truncate(0);
        return caches[index];
    }

    private static Memory<float> Room(ref float[] memory, int length)
    {
        if (memory.Length < length)
        {
            memory = new float[length];
        }

        return memory.AsMemory(0, length);
    }

    /// <summary>Tokens of a sequence that run in one pass.</summary>
    private sealed record Part(int Item, int Choice, int First, ReadOnlyMemory<int> Tokens, KvCache Cache);
}

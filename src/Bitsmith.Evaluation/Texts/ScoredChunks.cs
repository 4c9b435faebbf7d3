using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Layers;

namespace Bitsmith.Evaluation.Texts;

/// <summary>What is run at once: whole chunks, each a sequence of its own, or a part of one that is too long.</summary>
/// <param name="Chunk">The first chunk.</param>
/// <param name="Chunks">Number of chunks.</param>
/// <param name="Start">First token of each that is run.</param>
/// <param name="Tokens">Tokens of each that are run.</param>
/// <param name="FirstScored">First position of each that is scored.</param>
/// <param name="Scored">Positions of each that are scored.</param>
internal readonly record struct ChunkPass(int Chunk, int Chunks, int Start, int Tokens, int FirstScored, int Scored)
{
    /// <summary>Positions that are scored: those of the first chunk, then those of the next.</summary>
    public int Rows => Chunks * Scored;

    /// <summary>True where a row is the last that is scored of its chunk.</summary>
    public bool EndsChunk(int row, TextChunks chunks) => (row + 1) % Scored == 0 && FirstScored + Scored == chunks.Size - 1;

    /// <summary>Chunk and position of a scored row.</summary>
    public (int Chunk, int Position) PlaceOf(int row) => (Chunk + (row / Scored), FirstScored + (row % Scored));

    /// <summary>The tokens that follow scored rows.</summary>
    public void NextTokens(TextChunks chunks, int firstRow, Span<int> tokens)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            (int chunk, int position) = PlaceOf(firstRow + i);
            tokens[i] = chunks[chunk][position + 1];
        }
    }

    /// <summary>Cuts chunks into passes. The last token of a chunk predicts nothing and is not run.</summary>
    /// <param name="chunks">The chunks.</param>
    /// <param name="tokens">Most tokens of a pass.</param>
    /// <param name="firstChunk">The chunk to begin with.</param>
    public static IEnumerable<ChunkPass> Of(TextChunks chunks, int tokens, int firstChunk = 0)
    {
        int length = chunks.Size - 1, together = Math.Max(1, tokens / chunks.Size), most = Math.Min(tokens, length);
        for (int chunk = firstChunk; chunk < chunks.Count; chunk += together)
        {
            for (int start = 0; start < length; start += most)
            {
                int count = Math.Min(most, length - start), first = Math.Max(start, chunks.FirstScored);
                yield return new ChunkPass(chunk, Math.Min(together, chunks.Count - chunk), start, count, first, Math.Max(0, start + count - first));
            }
        }
    }
}

/// <summary>Runs the chunks of a text through a model, several at a time, and gives the logits of the positions that are scored; of the others none are computed.</summary>
internal sealed class ScoredChunks : IDisposable
{
    /// <summary>Most tokens that are run at once, as by llama-perplexity. Results do not depend on it.</summary>
    public const int PassTokens = 2048;

    // Of logits at a time.
    private const long LogitBytes = 64 << 20;
    private const int FewestRows = 16;

    private readonly EvaluatedModel model;
    private readonly TextChunks chunks;
    private readonly ForwardPass pass;
    private readonly KvCache[] caches;
    private readonly SequenceRun[] runs;
    private readonly float[] hidden, scored;

    /// <summary>Makes the working memory.</summary>
    /// <param name="model">The model.</param>
    /// <param name="chunks">The chunks.</param>
    /// <exception cref="CheckpointException">The model's context has fewer tokens than a chunk.</exception>
    public ScoredChunks(EvaluatedModel model, TextChunks chunks)
    {
        (this.model, this.chunks) = (model, chunks);
        int most = model.Language.Config.MaxPositionEmbeddings, width = model.Language.Config.HiddenSize;
        if (chunks.Size > most)
        {
            throw new CheckpointException(model.Conditions.Model, $"has a context of {most} tokens; chunks of {chunks.Size} do not fit. Take a smaller context.");
        }

        int together = Math.Min(chunks.Count, Math.Max(1, PassTokens / chunks.Size)), tokens = Math.Min(PassTokens, chunks.Size);
        pass = model.Language.NewPass();
        caches = [.. Enumerable.Range(0, together).Select(_ => model.Language.NewCache(chunks.Size, model.Settings.CacheType))];
        runs = new SequenceRun[together];
        hidden = GC.AllocateUninitializedArray<float>(checked(together * tokens * width));
        scored = GC.AllocateUninitializedArray<float>(hidden.Length);
    }

    /// <summary>Rows of logits that are computed at a time.</summary>
    public static int RowsAtOnce(int vocabulary) => (int)Math.Clamp(LogitBytes / ((long)vocabulary * sizeof(float)), FewestRows, PassTokens);

    /// <summary>Runs a pass; those of a chunk in order.</summary>
    public void Run(in ChunkPass part)
    {
        LanguageModel language = model.Language;
        int width = language.Config.HiddenSize, tokens = part.Chunks * part.Tokens;
        for (int i = 0; i < part.Chunks; i++)
        {
            if (part.Start == 0)
            {
                caches[i].Truncate(0);
            }

            language.Embed(chunks.ToRun(part.Chunk + i).AsSpan(part.Start, part.Tokens), hidden.AsSpan(i * part.Tokens * width, part.Tokens * width));
            runs[i] = new SequenceRun(caches[i], part.Tokens);
        }

        Memory<float> state = hidden.AsMemory(0, tokens * width);
        language.Begin(pass, runs.AsSpan(0, part.Chunks));
        language.Forward(state, pass);
        for (int i = 0; i < part.Chunks && part.Scored > 0; i++)
        {
            int first = (i * part.Tokens) + part.FirstScored - part.Start;
            state.Span.Slice(first * width, part.Scored * width).CopyTo(scored.AsSpan(i * part.Scored * width));
        }
    }

    /// <summary>Computes logits of the pass that was run last.</summary>
    /// <param name="first">First of its scored rows.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="logits">Receives [rows × V].</param>
    public void Logits(int first, int rows, Memory<float> logits)
    {
        int width = model.Language.Config.HiddenSize;
        model.Language.Logits(scored.AsMemory(first * width, rows * width), logits, pass);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        pass.Dispose();
        Array.ForEach(caches, cache => cache.Dispose());
    }
}

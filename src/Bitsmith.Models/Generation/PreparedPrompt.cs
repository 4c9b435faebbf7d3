using Bitsmith.Models.Vision;

namespace Bitsmith.Models.Generation;

/// <summary>A run of placeholder tokens and what it stands for.</summary>
/// <param name="Start">Index of its first token.</param>
/// <param name="Part">The picture or frame pair.</param>
public sealed record VisionRun(int Start, VisionPart Part)
{
    /// <summary>Index behind its last token.</summary>
    public int End => Start + Part.Tokens;
}

/// <summary>A prompt ready to run: its tokens, the pictures among them, and their positions.</summary>
/// <param name="Ids">Token ids, placeholders of pictures included.</param>
/// <param name="Vision">Pictures and frame pairs, in order.</param>
/// <param name="Positions">Positions on each axis; null counts from 0.</param>
/// <param name="RopeDelta">What is added to a later token's index to get its position; 0 without pictures.</param>
public sealed record PreparedPrompt(IReadOnlyList<int> Ids, IReadOnlyList<VisionRun> Vision, IReadOnlyList<int[]>? Positions, int RopeDelta)
{
    /// <summary>Plain tokens, without pictures.</summary>
    public static PreparedPrompt OfTokens(IReadOnlyList<int> ids) => new(ids, [], null, 0);

    /// <summary>Embeddings of some of its tokens, pictures' features put in.</summary>
    /// <param name="model">The model.</param>
    /// <param name="start">First token.</param>
    /// <param name="count">Number of tokens.</param>
    /// <param name="hidden">Receives [count × D].</param>
    public void Embed(LanguageModel model, int start, int count, Span<float> hidden)
    {
        int width = model.Config.HiddenSize, end = start + count;
        model.Embed([.. Ids.Skip(start).Take(count)], hidden);
        foreach (VisionRun run in Vision.Where(run => run.Start < end && run.End > start))
        {
            int from = Math.Max(start, run.Start), to = Math.Min(end, run.End);
            run.Part.Features.AsSpan((from - run.Start) * width, (to - from) * width).CopyTo(hidden[((from - start) * width)..]);
        }
    }
}

/// <summary>A prompt does not fit into the context.</summary>
/// <param name="promptTokens">Tokens of the prompt.</param>
/// <param name="context">Tokens that fit.</param>
public sealed class PromptTooLongException(int promptTokens, int context)
    : Exception($"the prompt has {promptTokens} tokens, the context holds {context}. Shorten the prompt, or leave out what was said before it.")
{
    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; } = promptTokens;

    /// <summary>Tokens that fit.</summary>
    public int Context { get; } = context;
}

namespace Bitsmith.Models.Generation;

/// <summary>A prompt ready to run: its tokens, their embeddings with pictures' features put in, and their positions.</summary>
/// <param name="Ids">Token ids, placeholders of pictures included.</param>
/// <param name="Embeddings">ids × D.</param>
/// <param name="Positions">Positions on each axis; null counts from 0.</param>
/// <param name="RopeDelta">What is added to a later token's index to get its position; 0 without pictures.</param>
public sealed record PreparedPrompt(IReadOnlyList<int> Ids, float[] Embeddings, IReadOnlyList<int[]>? Positions, int RopeDelta);

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

using Bitsmith.Evaluation.Texts;

namespace Bitsmith.Evaluation;

/// <summary>What text a model was measured on, and how it was cut.</summary>
/// <param name="Source">The text file, or the file of log-probabilities that holds its tokens.</param>
/// <param name="Context">Tokens in a chunk.</param>
/// <param name="Stride">Tokens from the start of a chunk to that of the next.</param>
/// <param name="Chunks">Number of chunks.</param>
/// <param name="ScoredTokens">Tokens whose probability was taken, in all chunks together.</param>
/// <param name="FirstToken">The token that took the place of each chunk's first, or null.</param>
/// <param name="TokensSha256">SHA-256 of the tokens.</param>
public sealed record TextConditions(string Source, int Context, int Stride, int Chunks, int ScoredTokens, int? FirstToken, string TokensSha256)
{
    internal static TextConditions Of(TextChunks chunks) =>
        new(chunks.Source, chunks.Size, chunks.Stride, chunks.Count, chunks.Count * chunks.ScoredPerChunk, chunks.First, chunks.Digest);
}

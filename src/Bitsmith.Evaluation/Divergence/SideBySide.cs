using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>What was found in a pass.</summary>
/// <param name="Part">The pass.</param>
/// <param name="OfModels">Of each model the divergence at each scored position; overwritten by the next pass.</param>
internal readonly record struct PassDivergences(ChunkPass Part, IReadOnlyList<TokenDivergence[]> OfModels);

/// <summary>Runs models and a base over the same text, pass by pass; the base's distributions are computed once for all of them and kept for no longer than some rows.</summary>
internal static class SideBySide
{
    /// <summary>Runs the chunks of a text.</summary>
    /// <param name="models">The models.</param>
    /// <param name="reference">The base.</param>
    /// <param name="chunks">The text; all models' tokenizers cut it into these tokens.</param>
    /// <param name="firstChunk">The chunk to begin with.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="CheckpointException">The models have other vocabularies, the chunks do not fit a context, or a model computes what is no finite number.</exception>
    public static IEnumerable<PassDivergences> Run(IReadOnlyList<EvaluatedModel> models, IBaseDistributions reference, TextChunks chunks, int firstChunk, CancellationToken cancellationToken)
    {
        int vocabulary = reference.VocabularySize, most = ScoredChunks.RowsAtOnce(vocabulary);
        foreach (EvaluatedModel model in models)
        {
            if (model.Language.Config.VocabSize != vocabulary)
            {
                throw new CheckpointException(model.Conditions.Model, $"has a vocabulary of {model.Language.Config.VocabSize}, {reference.Name} one of {vocabulary}. Only models with the same tokens can be compared.");
            }
        }

        List<ScoredChunks> scored = [];
        try
        {
            foreach (EvaluatedModel model in models)
            {
                scored.Add(new ScoredChunks(model, chunks.BeginningWith(model.Tokenizer.First)));
            }

            float[] logits = GC.AllocateUninitializedArray<float>(most * vocabulary), expected = GC.AllocateUninitializedArray<float>(logits.Length);
            int[] next = new int[most];
            TokenDivergence[][] found = [.. models.Select(_ => new TokenDivergence[ScoredChunks.PassTokens])];
            foreach (ChunkPass part in ChunkPass.Of(chunks, ScoredChunks.PassTokens, firstChunk))
            {
                reference.Run(part);
                foreach (ScoredChunks one in scored)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    one.Run(part);
                }

                for (int first = 0; first < part.Rows; first += most)
                {
                    int rows = Math.Min(most, part.Rows - first);
                    reference.Read(part, first, rows, expected.AsMemory(0, rows * vocabulary));
                    part.NextTokens(chunks, first, next.AsSpan(0, rows));
                    for (int i = 0; i < models.Count; i++)
                    {
                        scored[i].Logits(first, rows, logits.AsMemory(0, rows * vocabulary));
                        Memory<TokenDivergence> tokens = found[i].AsMemory(first, rows);
                        models[i].Settings.Compute.Run(rows, new Scoring(expected, reference.AreLogits, logits, vocabulary, next, tokens, models[i].Settings.Compute.InstructionSet));
                        for (int row = 0; row < rows; row++)
                        {
                            models[i].RequireNumber(tokens.Span[row].Loss, part, first + row);
                            reference.RequireNumber(tokens.Span[row].BaseLoss, part, first + row);
                        }
                    }
                }

                yield return new PassDivergences(part, found);
            }
        }
        finally
        {
            scored.ForEach(one => one.Dispose());
        }
    }

    private readonly struct Scoring(float[] expected, bool areLogits, float[] logits, int vocabulary, int[] next, Memory<TokenDivergence> found, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            ReadOnlySpan<float> left = expected.AsSpan(task * vocabulary, vocabulary), right = logits.AsSpan(task * vocabulary, vocabulary);
            found.Span[task] = areLogits ? TokenDivergence.OfLogits(left, right, next[task], instructionSet) : TokenDivergence.OfKnown(left, right, next[task], instructionSet);
        }
    }
}

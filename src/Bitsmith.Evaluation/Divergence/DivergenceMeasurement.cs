using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>Measures a model against the log-probabilities of a file, as llama-perplexity --kl-divergence does: every chunk is run from an empty cache.</summary>
public static class DivergenceMeasurement
{
    // Rows of logits at a time: of a vocabulary of 151552, 39 MB.
    private const int RowsAtOnce = 64;

    /// <summary>Runs the chunks of a file through a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="reference">The file.</param>
    /// <param name="first">The token that takes the place of each chunk's first, where the model's vocabulary begins texts with one.</param>
    /// <param name="cacheType">What keys and values are stored as.</param>
    /// <param name="progress">Told the number of chunks done.</param>
    /// <param name="cancellationToken">Stops between chunks.</param>
    /// <exception cref="CheckpointException">The file is damaged.</exception>
    /// <exception cref="ArgumentException">Vocabulary or context are not the model's.</exception>
    public static DivergenceSum Run(
        LanguageModel model, LogitsFile reference, int? first = null, ElementType cacheType = ElementType.F32, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(reference);
        (int vocabulary, int width, int context) = (model.Config.VocabSize, model.Config.HiddenSize, reference.ContextSize);
        if (reference.VocabularySize != vocabulary || context > model.Config.MaxPositionEmbeddings)
        {
            throw new ArgumentException(
                $"The file has a vocabulary of {reference.VocabularySize} and chunks of {context} tokens, the model a vocabulary of {vocabulary} and a context of {model.Config.MaxPositionEmbeddings}.", nameof(reference));
        }

        DivergenceSum sum = new();
        using ForwardPass pass = model.NewPass();
        using KvCache cache = model.NewCache(context, cacheType);
        float[] hidden = new float[context * width], logits = new float[RowsAtOnce * vocabulary], expected = new float[vocabulary], found = new float[vocabulary];
        for (int chunk = 0; chunk < reference.ChunkCount; chunk++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ReadOnlySpan<int> tokens = reference.Tokens(chunk);
            model.Embed(first is int start ? [start, .. tokens[1..]] : tokens, hidden);
            cache.Truncate(0);
            model.Begin(pass, new SequenceRun(cache, context));
            model.Forward(hidden, pass);
            for (int position = reference.FirstScored; position < context - 1; position += RowsAtOnce)
            {
                int rows = Math.Min(RowsAtOnce, context - 1 - position);
                model.Logits(hidden.AsMemory(position * width, rows * width), logits.AsMemory(0, rows * vocabulary), pass);
                for (int row = 0; row < rows; row++)
                {
                    reference.Read(chunk, position + row, expected);
                    LogProbabilities.Of(logits.AsSpan(row * vocabulary, vocabulary), found, pass.Compute.InstructionSet);
                    sum.Add(expected, found, tokens[position + row + 1], LogitsFile.LeastKnown);
                }
            }

            progress?.Report(chunk + 1);
        }

        return sum;
    }
}

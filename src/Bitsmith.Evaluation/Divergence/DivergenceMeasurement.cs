using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Texts;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>
/// Measures a model against a base model on the same tokens, with llama-perplexity's definitions (--kl-divergence): perplexities of both come from the same pass. The base model runs beside it, pass by pass,
/// or a file of its log-probabilities stands for it.
/// </summary>
public static class DivergenceMeasurement
{
    /// <summary>Runs the chunks of a text through both models. The base model's distributions count in full precision, which a file's 16 bits are not.</summary>
    /// <param name="model">The model.</param>
    /// <param name="baseModel">The base model.</param>
    /// <param name="chunks">The text; both models' tokenizers cut it into these tokens.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="save">Receives the base model's log-probabilities, or null; the caller completes it.</param>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="CheckpointException">The models have other vocabularies, the chunks do not fit a context, or a model computes what is no finite number.</exception>
    /// <exception cref="IOException">The log-probabilities could not be written.</exception>
    public static DivergenceReport Run(
        EvaluatedModel model, EvaluatedModel baseModel, TextChunks chunks, TimeProvider clock, LogitsFileWriter? save = null, IProgress<DivergenceProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(baseModel);
        ArgumentNullException.ThrowIfNull(chunks);
        using BaseModel reference = new(baseModel, chunks, save);
        return Run(model, reference, chunks, clock, progress, cancellationToken) with { Base = baseModel.Conditions };
    }

    /// <summary>Runs the chunks of a file of a base model's log-probabilities through a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="baseLogits">The file.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="CheckpointException">The file is damaged, the model has another vocabulary, the chunks do not fit its context, or it computes what is no finite number.</exception>
    public static DivergenceReport Run(
        EvaluatedModel model, LogitsFile baseLogits, TimeProvider clock, IProgress<DivergenceProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(baseLogits);
        TextChunks chunks = baseLogits.Chunks(model.Tokenizer.First);
        return Run(model, new BaseFile(baseLogits, chunks.Source, model.Settings.Compute), chunks, clock, progress, cancellationToken) with { BaseLogits = chunks.Source };
    }

    private static DivergenceReport Run(
        EvaluatedModel model, IBaseDistributions reference, TextChunks chunks, TimeProvider clock, IProgress<DivergenceProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(clock);
        DivergenceSum sum = new();
        long start = clock.GetTimestamp();
        foreach (PassDivergences found in SideBySide.Run([model], reference, chunks, 0, cancellationToken))
        {
            for (int row = 0; row < found.Part.Rows; row++)
            {
                sum.Add(found.OfModels[0][row]);
                if (found.Part.EndsChunk(row, chunks))
                {
                    progress?.Report(new DivergenceProgress(found.Part.PlaceOf(row).Chunk + 1, chunks.Count, sum.Perplexity, sum.LogRatio, sum.Mean, sum.RmsShift, sum.SameTop));
                }
            }
        }

        double seconds = clock.GetElapsedTime(start).TotalSeconds;
        return new DivergenceReport(model.Conditions, null, null, TextConditions.Of(chunks), sum.Statistics(), seconds, (double)chunks.Count * chunks.Size / seconds);
    }
}

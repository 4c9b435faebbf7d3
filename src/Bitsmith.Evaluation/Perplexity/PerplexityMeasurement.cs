using System.Diagnostics;
using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Evaluation.Perplexity;

/// <summary>Measures perplexity with llama-perplexity's definition: each chunk is run from an empty cache, and the mean is taken over the scored positions of all chunks.</summary>
public static class PerplexityMeasurement
{
    /// <summary>Runs the chunks of a text through a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="chunks">The text, cut with the model's tokenizer.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="save">Receives the log-probabilities, or null; the caller completes it.</param>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="CheckpointException">The chunks do not fit the model's context, or it computes what is no finite number.</exception>
    /// <exception cref="IOException">The log-probabilities could not be written.</exception>
    public static PerplexityReport Run(
        EvaluatedModel model, TextChunks chunks, TimeProvider clock, LogitsFileWriter? save = null, IProgress<PerplexityProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(chunks);
        ArgumentNullException.ThrowIfNull(clock);
        int vocabulary = model.Language.Config.VocabSize, most = ScoredChunks.RowsAtOnce(vocabulary), count = 0;
        using ScoredChunks scored = new(model, chunks);
        float[] logits = GC.AllocateUninitializedArray<float>(most * vocabulary);
        byte[] records = new byte[save is null ? 0 : most * save.RecordBytes];
        int[] next = new int[most];
        TokenLoss[] losses = new TokenLoss[most];
        double sum = 0, squares = 0;
        long start = clock.GetTimestamp();
        foreach (ChunkPass part in ChunkPass.Of(chunks, ScoredChunks.PassTokens))
        {
            cancellationToken.ThrowIfCancellationRequested();
            scored.Run(part);
            for (int first = 0; first < part.Rows; first += most)
            {
                int rows = Math.Min(most, part.Rows - first);
                scored.Logits(first, rows, logits.AsMemory(0, rows * vocabulary));
                part.NextTokens(chunks, first, next.AsSpan(0, rows));
                model.Settings.Compute.Run(rows, new Scoring(logits, vocabulary, next, losses, records, save?.RecordBytes ?? 0, model.Settings.Compute.InstructionSet));
                save?.Append(records.AsSpan(0, rows * save.RecordBytes));
                for (int row = 0; row < rows; row++)
                {
                    double loss = losses[row].Loss;
                    model.RequireNumber(loss, part, first + row);
                    (sum, squares, count) = (sum + loss, squares + (loss * loss), count + 1);
                    if (part.EndsChunk(first + row, chunks))
                    {
                        progress?.Report(new PerplexityProgress(part.PlaceOf(first + row).Chunk + 1, chunks.Count, Estimate.OfMean(sum, squares, count).Exponential()));
                    }
                }
            }
        }

        Debug.Assert(count == chunks.Count * chunks.ScoredPerChunk);
        double seconds = clock.GetElapsedTime(start).TotalSeconds;
        Estimate mean = Estimate.OfMean(sum, squares, count);
        return new PerplexityReport(model.Conditions, TextConditions.Of(chunks), mean.Exponential(), mean, seconds, (double)chunks.Count * chunks.Size / seconds);
    }

    /// <summary>Scores a row of logits, and puts it into a record where one is wanted.</summary>
    private readonly struct Scoring(float[] logits, int vocabulary, int[] next, TokenLoss[] losses, byte[] records, int recordBytes, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            ReadOnlySpan<float> row = logits.AsSpan(task * vocabulary, vocabulary);
            losses[task] = TokenLoss.Of(row, next[task], instructionSet);
            if (recordBytes > 0)
            {
                LogitsFileWriter.Encode(row, losses[task], records.AsSpan(task * recordBytes, recordBytes), instructionSet);
            }
        }
    }
}

using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

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
        RequireVocabulary(model, baseModel.Language.Config.VocabSize, baseModel.Conditions.Model);
        using BaseModel reference = new(baseModel, chunks.BeginningWith(baseModel.Tokenizer.First), save);
        return Run(model, reference, chunks.BeginningWith(model.Tokenizer.First), clock, progress, cancellationToken) with { Base = baseModel.Conditions };
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
        RequireVocabulary(model, baseLogits.VocabularySize, chunks.Source);
        return Run(model, new BaseFile(baseLogits, model.Settings.Compute), chunks, clock, progress, cancellationToken) with { BaseLogits = chunks.Source };
    }

    private static void RequireVocabulary(EvaluatedModel model, int vocabulary, string other)
    {
        if (model.Language.Config.VocabSize != vocabulary)
        {
            throw new CheckpointException(model.Conditions.Model, $"has a vocabulary of {model.Language.Config.VocabSize}, {other} one of {vocabulary}. Only models with the same tokens can be compared.");
        }
    }

    private static DivergenceReport Run(
        EvaluatedModel model, IBaseDistributions reference, TextChunks chunks, TimeProvider clock, IProgress<DivergenceProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(clock);
        int vocabulary = model.Language.Config.VocabSize, most = ScoredChunks.RowsAtOnce(vocabulary);
        using ScoredChunks scored = new(model, chunks);
        float[] logits = GC.AllocateUninitializedArray<float>(most * vocabulary), expected = GC.AllocateUninitializedArray<float>(logits.Length);
        int[] next = new int[most];
        TokenDivergence[] found = new TokenDivergence[most];
        DivergenceSum sum = new();
        long start = clock.GetTimestamp();
        foreach (ChunkPass part in ChunkPass.Of(chunks, ScoredChunks.PassTokens))
        {
            cancellationToken.ThrowIfCancellationRequested();
            scored.Run(part);
            reference.Run(part);
            for (int first = 0; first < part.Rows; first += most)
            {
                int rows = Math.Min(most, part.Rows - first);
                scored.Logits(first, rows, logits.AsMemory(0, rows * vocabulary));
                reference.Read(part, first, rows, expected.AsMemory(0, rows * vocabulary));
                part.NextTokens(chunks, first, next.AsSpan(0, rows));
                model.Settings.Compute.Run(rows, new Scoring(expected, reference.AreLogits, logits, vocabulary, next, found, model.Settings.Compute.InstructionSet));
                for (int row = 0; row < rows; row++)
                {
                    model.RequireNumber(found[row].Loss, part, first + row);
                    reference.RequireNumber(found[row].BaseLoss, part, first + row);
                    sum.Add(found[row]);
                    if (part.EndsChunk(first + row, chunks))
                    {
                        progress?.Report(new DivergenceProgress(part.PlaceOf(first + row).Chunk + 1, chunks.Count, sum.Perplexity, sum.LogRatio, sum.Mean, sum.RmsShift, sum.SameTop));
                    }
                }
            }
        }

        double seconds = clock.GetElapsedTime(start).TotalSeconds;
        return new DivergenceReport(model.Conditions, null, null, TextConditions.Of(chunks), sum.Statistics(), seconds, (double)chunks.Count * chunks.Size / seconds);
    }

    /// <summary>Where the base model's distributions come from.</summary>
    private interface IBaseDistributions
    {
        /// <summary>True for logits, false for a file's log-probabilities.</summary>
        bool AreLogits { get; }

        void Run(in ChunkPass part);

        /// <summary>Of scored rows of the pass that was run last, [rows × V].</summary>
        void Read(in ChunkPass part, int first, int rows, Memory<float> target);

        void RequireNumber(double loss, in ChunkPass part, int row);
    }

    private sealed class BaseModel(EvaluatedModel model, TextChunks chunks, LogitsFileWriter? save) : IBaseDistributions, IDisposable
    {
        private readonly ScoredChunks scored = new(model, chunks);
        private byte[] records = [];

        public bool AreLogits => true;

        public void Run(in ChunkPass part) => scored.Run(part);

        public void Read(in ChunkPass part, int first, int rows, Memory<float> target)
        {
            scored.Logits(first, rows, target);
            if (save is not null)
            {
                int bytes = save.RecordBytes * rows;
                records = records.Length < bytes ? new byte[bytes] : records;
                model.Settings.Compute.Run(rows, new Encoding(target, target.Length / rows, records, save.RecordBytes, model.Settings.Compute.InstructionSet));
                save.Append(records.AsSpan(0, bytes));
            }
        }

        public void RequireNumber(double loss, in ChunkPass part, int row) => model.RequireNumber(loss, part, row);

        public void Dispose() => scored.Dispose();
    }

    private sealed class BaseFile(LogitsFile file, ComputeOptions compute) : IBaseDistributions
    {
        public bool AreLogits => false;

        public void Run(in ChunkPass part)
        {
        }

        public void Read(in ChunkPass part, int first, int rows, Memory<float> target) => compute.Run(rows, new Reading(file, part, first, target, compute.InstructionSet));

        // The file has checked its records.
        public void RequireNumber(double loss, in ChunkPass part, int row)
        {
        }
    }

    private readonly struct Scoring(float[] expected, bool areLogits, float[] logits, int vocabulary, int[] next, TokenDivergence[] found, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            ReadOnlySpan<float> left = expected.AsSpan(task * vocabulary, vocabulary), right = logits.AsSpan(task * vocabulary, vocabulary);
            found[task] = areLogits ? TokenDivergence.OfLogits(left, right, next[task], instructionSet) : TokenDivergence.OfKnown(left, right, next[task], instructionSet);
        }
    }

    private readonly struct Reading(LogitsFile file, ChunkPass part, int first, Memory<float> target, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            (int chunk, int position) = part.PlaceOf(first + task);
            file.Read(chunk, position, target.Span.Slice(task * file.VocabularySize, file.VocabularySize), instructionSet);
        }
    }

    private readonly struct Encoding(Memory<float> logits, int vocabulary, byte[] records, int recordBytes, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            ReadOnlySpan<float> row = logits.Span.Slice(task * vocabulary, vocabulary);
            LogitsFileWriter.Encode(row, TokenLoss.Of(row, 0, instructionSet), records.AsSpan(task * recordBytes, recordBytes), instructionSet);
        }
    }
}

using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>Where a base model's distributions come from: the model itself, run beside the others, or a file of its log-probabilities.</summary>
internal interface IBaseDistributions
{
    /// <summary>Tokens in the vocabulary.</summary>
    int VocabularySize { get; }

    /// <summary>The model or file.</summary>
    string Name { get; }

    /// <summary>True for logits, false for a file's log-probabilities.</summary>
    bool AreLogits { get; }

    /// <summary>Runs a pass; those of a chunk in order.</summary>
    void Run(in ChunkPass part);

    /// <summary>Of scored rows of the pass that was run last, [rows × V].</summary>
    void Read(in ChunkPass part, int first, int rows, Memory<float> target);

    /// <summary>Refuses a loss that is no number.</summary>
    /// <exception cref="CheckpointException">It is NaN.</exception>
    void RequireNumber(double loss, in ChunkPass part, int row);
}

/// <summary>The base model, run pass by pass.</summary>
internal sealed class BaseModel(EvaluatedModel model, TextChunks chunks, LogitsFileWriter? save) : IBaseDistributions, IDisposable
{
    private readonly ScoredChunks scored = new(model, chunks.BeginningWith(model.Tokenizer.First));
    private byte[] records = [];

    public int VocabularySize => model.Language.Config.VocabSize;

    public string Name => model.Conditions.Model;

    public bool AreLogits => true;

    public void Run(in ChunkPass part) => scored.Run(part);

    public void Read(in ChunkPass part, int first, int rows, Memory<float> target)
    {
        scored.Logits(first, rows, target);
        if (save is not null)
        {
            int bytes = save.RecordBytes * rows;
            records = records.Length < bytes ? new byte[bytes] : records;
            model.Settings.Compute.Run(rows, new Encoding(target, VocabularySize, records, save.RecordBytes, model.Settings.Compute.InstructionSet));
            save.Append(records.AsSpan(0, bytes));
        }
    }

    public void RequireNumber(double loss, in ChunkPass part, int row) => model.RequireNumber(loss, part, row);

    public void Dispose() => scored.Dispose();

    private readonly struct Encoding(Memory<float> logits, int vocabulary, byte[] records, int recordBytes, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            ReadOnlySpan<float> row = logits.Span.Slice(task * vocabulary, vocabulary);
            LogitsFileWriter.Encode(row, TokenLoss.Of(row, 0, instructionSet), records.AsSpan(task * recordBytes, recordBytes), instructionSet);
        }
    }
}

/// <summary>A file of the base model's log-probabilities, which has checked its records.</summary>
internal sealed class BaseFile(LogitsFile file, string path, ComputeOptions compute) : IBaseDistributions
{
    public int VocabularySize => file.VocabularySize;

    public string Name => path;

    public bool AreLogits => false;

    public void Run(in ChunkPass part)
    {
    }

    public void Read(in ChunkPass part, int first, int rows, Memory<float> target) => compute.Run(rows, new Reading(file, part, first, target, compute.InstructionSet));

    public void RequireNumber(double loss, in ChunkPass part, int row)
    {
    }

    private readonly struct Reading(LogitsFile file, ChunkPass part, int first, Memory<float> target, InstructionSet instructionSet) : IParallelWork
    {
        public void Run(int task)
        {
            (int chunk, int position) = part.PlaceOf(first + task);
            file.Read(chunk, position, target.Span.Slice(task * file.VocabularySize, file.VocabularySize), instructionSet);
        }
    }
}

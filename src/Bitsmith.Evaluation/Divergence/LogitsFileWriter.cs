using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>
/// Writes a <see cref="LogitsFile"/> as llama-perplexity does with --kl-divergence-base. It is written beside its name and renamed when it is complete; one that is not is removed.
/// </summary>
public sealed class LogitsFileWriter : IDisposable
{
    // Nats below the likeliest token at which the 16 bits end.
    private const float Range = 16;

    private readonly string path, beside;
    private readonly FileStream file;
    private readonly long length;

    private LogitsFileWriter(string path, string beside, FileStream file, int recordBytes, long length) =>
        (this.path, this.beside, this.file, RecordBytes, this.length) = (path, beside, file, recordBytes, length);

    /// <summary>Bytes of a record.</summary>
    public int RecordBytes { get; }

    /// <summary>Begins a file; its room on the disk is taken at once.</summary>
    /// <param name="path">The file; one of this name is replaced at the end.</param>
    /// <param name="chunks">The text, in chunks that do not overlap.</param>
    /// <param name="vocabulary">Tokens in the vocabulary.</param>
    /// <exception cref="ArgumentException">The chunks overlap.</exception>
    /// <exception cref="IOException">The system refused, for example because the disk is full.</exception>
    public static LogitsFileWriter Create(string path, TextChunks chunks, int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(chunks);
        if (chunks.Stride != chunks.Size)
        {
            throw new ArgumentException("A file of log-probabilities holds chunks that do not overlap.", nameof(chunks));
        }

        int recordBytes = checked((int)LogitsFile.RecordBytes(vocabulary));
        long length = LogitsFile.HeaderBytes + ((long)chunks.Count * ((sizeof(int) * chunks.Size) + ((long)recordBytes * chunks.ScoredPerChunk)));
        string beside = path + ".new";
        FileStream file = new(beside, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, PreallocationSize = length });
        LogitsFileWriter writer = new(path, beside, file, recordBytes, length);
        try
        {
            file.Write(LogitsFile.Magic);
            file.Write(MemoryMarshal.AsBytes<int>([chunks.Size, vocabulary, chunks.Count]));
            for (int chunk = 0; chunk < chunks.Count; chunk++)
            {
                file.Write(MemoryMarshal.AsBytes(chunks[chunk]));
            }
        }
        catch
        {
            writer.Dispose();
            throw;
        }

        return writer;
    }

    /// <summary>Puts a row of logits into a record: the 16-bit step of each, from 16 nats below the largest (or the smallest, where that is nearer) to the largest.</summary>
    /// <param name="logits">One for each token of the vocabulary.</param>
    /// <param name="loss">What was found of them.</param>
    /// <param name="record">Receives the record.</param>
    /// <param name="instructionSet">Kernels; the record is the same with each.</param>
    public static void Encode(ReadOnlySpan<float> logits, TokenLoss loss, Span<byte> record, InstructionSet instructionSet)
    {
        float largest = loss.Largest, least = MathF.Max(DistributionKernels.Smallest(logits, instructionSet), largest - Range);
        float scale = (largest - least) / ushort.MaxValue;
        BinaryPrimitives.WriteSingleLittleEndian(record, scale);
        BinaryPrimitives.WriteSingleLittleEndian(record[sizeof(float)..], least - largest - (float)loss.LogSum);
        Span<ushort> steps = MemoryMarshal.Cast<byte, ushort>(record[LogitsFile.RecordHeaderBytes..]);
        steps[logits.Length..].Clear(); // an odd vocabulary has one more
        if (scale > 0)
        {
            DistributionKernels.ToSteps(logits, least, 1 / scale, steps[..logits.Length], instructionSet);
        }
        else
        {
            steps.Clear();
        }
    }

    /// <summary>Writes records, those of the first chunk first, in the order of their positions.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public void Append(ReadOnlySpan<byte> records) => file.Write(records);

    /// <summary>Gives the file its name.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    /// <exception cref="InvalidOperationException">Records are missing.</exception>
    public void Complete()
    {
        if (file.Position != length)
        {
            throw new InvalidOperationException($"{file.Position} bytes of {length} have been written.");
        }

        file.Flush(flushToDisk: true);
        file.Dispose();
        File.Move(beside, path, overwrite: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        file.Dispose();
        File.Delete(beside);
    }
}

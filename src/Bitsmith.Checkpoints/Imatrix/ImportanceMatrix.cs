using Bitsmith.Checkpoints.Files;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>The forms of an importance matrix file.</summary>
public enum ImatrixFormat
{
    /// <summary>GGUF.</summary>
    Gguf,

    /// <summary>llama.cpp's older form.</summary>
    Dat,
}

/// <summary>An importance matrix: statistics of what flows into a model's weight tensors, by llama.cpp's tensor names.</summary>
/// <param name="entries">By name, for example <c>blk.0.attn_q.weight</c>.</param>
public sealed class ImportanceMatrix(IEnumerable<KeyValuePair<string, ImatrixEntry>> entries)
{
    /// <summary>The entries, in ordinal order of their names.</summary>
    public SortedDictionary<string, ImatrixEntry> Entries { get; } = new(entries.ToDictionary(), StringComparer.Ordinal);

    /// <summary>The texts that were run.</summary>
    public IReadOnlyList<string> Datasets { get; init; } = [];

    /// <summary>Number of chunks of text that were run.</summary>
    public int ChunkCount { get; init; }

    /// <summary>Tokens in a chunk; null where the file does not say.</summary>
    public int? ChunkSize { get; init; }

    /// <summary>How many of the last layers are for multi-token prediction.</summary>
    public int NextnLayers { get; init; }

    /// <summary>True for <c>.dat</c> files, whose counts are chunks and not tokens.</summary>
    public bool CountsChunks { get; init; }

    /// <summary>Further key/value pairs of a GGUF file, which llama.cpp leaves alone.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Notes { get; init; } = [];

    /// <summary>Reads a file in GGUF form, split or not, or in llama.cpp's older form (<c>.dat</c>), whichever it is.</summary>
    /// <exception cref="CheckpointException">The file is missing, is no importance matrix, or is broken.</exception>
    public static ImportanceMatrix Load(string path) => GgufFile.IsGguf(path) ? ImatrixGguf.Load(path) : ImatrixDat.Load(path);

    /// <summary>
    /// Writes a file, beside its final name first. GGUF is as llama-imatrix 0.7.0 writes it, statistics included; the older form holds neither plain sums nor the counts of experts, and
    /// leaves out tensors that have seen nothing.
    /// </summary>
    /// <exception cref="InvalidOperationException">The counts are chunks, or the chunk size is not known: see <see cref="ImatrixMerge.Merge"/>.</exception>
    /// <exception cref="IOException">The system refused.</exception>
    public void Save(string path, ImatrixFormat format = ImatrixFormat.Gguf)
    {
        if (format == ImatrixFormat.Dat)
        {
            AtomicFile.Write(path, ImatrixDat.Write(this));
        }
        else
        {
            ImatrixGguf.Save(path, this);
        }
    }

    /// <summary>Tokens in a chunk.</summary>
    /// <exception cref="InvalidOperationException">The counts are chunks, or the size is not known.</exception>
    internal int RequireChunkSize() => !CountsChunks && ChunkSize is int size
        ? size
        : throw new InvalidOperationException("An importance matrix without a chunk size cannot be written; merging gives it one.");
}

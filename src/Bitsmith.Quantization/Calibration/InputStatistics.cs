using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration;

/// <summary>
/// Adds up what flows into the Linears of a model. Each call of the observer, the tokens of one chunk, is added by <see cref="ColumnSums"/> and then to the totals in binary32: a result depends on the
/// chunks and their order, not on threads or on how often it was written to a file and read again. Tensors that take the same input (q, k and v; gate and up; the router and the shared expert) share one sum.
/// </summary>
internal sealed class InputStatistics : IForwardObserver
{
    private const string Suffix = ".weight";

    // The tensor whose input another one takes too.
    private static readonly Dictionary<string, string> SameInput = new()
    {
        ["attn_k"] = "attn_q", ["attn_v"] = "attn_q", ["ffn_up"] = "ffn_gate", ["ffn_up_exps"] = "ffn_gate_exps", ["ffn_up_shexp"] = "ffn_gate_shexp", ["ffn_gate_inp"] = "ffn_gate_shexp",
    };

    private readonly string model;
    private readonly ComputeOptions compute;
    private readonly SortedDictionary<string, ImatrixEntry> entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string Name, ImatrixEntry Entry, int Matrix)> places = new(StringComparer.Ordinal);

    /// <summary>Begins with nothing seen.</summary>
    /// <param name="model">Names the model in errors.</param>
    /// <param name="config">The model's numbers.</param>
    /// <param name="output">The head is one of the tensors.</param>
    /// <param name="compute">Threads and kernels.</param>
    public InputStatistics(string model, DecoderConfig config, bool output, ComputeOptions compute)
    {
        (this.model, this.compute) = (model, compute);
        Output = !output ? null : config.TieWordEmbeddings ? "token_embd.weight" : "output.weight";
        MappedWeight[] weights = [.. WeightMap.Create(config, mtpLayers: 0)
            .Where(weight => weight.Shape.Count > 1 && (weight.Gguf.StartsWith("blk.", StringComparison.Ordinal) || weight.Gguf == Output))];
        ILookup<bool, MappedWeight> shares = weights.ToLookup(weight => SharedWith(weight.Gguf) is { } other && weights.Any(found => found.Gguf == other));
        foreach (MappedWeight weight in shares[false])
        {
            int sums = checked((int)(weight.Parts.Count * weight.Shape[^1]));
            ImatrixEntry entry = new(new float[sums], new float[sums], new int[weight.Parts.Count]);
            entries.Add(weight.Gguf, entry);
            for (int matrix = 0; matrix < weight.Parts.Count; matrix++)
            {
                places.Add(weight.Parts[matrix][..^Suffix.Length], (weight.Gguf, entry, matrix));
            }
        }

        foreach (MappedWeight weight in shares[true])
        {
            entries.Add(weight.Gguf, entries[SharedWith(weight.Gguf)!]);
        }
    }

    /// <summary>What was seen so far, by llama.cpp's names; the arrays go on changing.</summary>
    public IEnumerable<KeyValuePair<string, ImatrixEntry>> Entries => entries;

    /// <summary>The name of the head where it is one of the tensors.</summary>
    public string? Output { get; }

    /// <summary>The chunk at work, for errors.</summary>
    public int Chunk { get; set; }

    /// <summary>Goes on from what was saved.</summary>
    /// <exception cref="CheckpointException">It is of another model.</exception>
    public void Restore(ImportanceMatrix saved, string path)
    {
        foreach ((string name, ImatrixEntry entry) in entries)
        {
            if (saved.Entries.GetValueOrDefault(name) is not { Sums: { } sums } found || found.Squares.Length != entry.Squares.Length || found.Counts.Length != entry.Counts.Length)
            {
                throw new CheckpointException(path, $"has no sums of '{name}' that fit the model. Start over with --force.");
            }

            found.Squares.CopyTo(entry.Squares, 0);
            sums.CopyTo(entry.Sums!, 0);
            found.Counts.CopyTo(entry.Counts, 0);
        }
    }

    /// <inheritdoc/>
    public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens)
    {
        if (places.TryGetValue(linear.Name, out var place))
        {
            Add(place.Name, place.Entry, place.Matrix, input, tokens);
        }
    }

    /// <summary>The head's inputs.</summary>
    public void AddOutput(ReadOnlyMemory<float> input, int tokens) => Add(Output!, entries[Output!], 0, input, tokens);

    /// <inheritdoc/>
    public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden)
    {
    }

    /// <inheritdoc/>
    public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
    {
    }

    private static string? SharedWith(string gguf) =>
        gguf.Split('.') is ["blk", string layer, string tensor, _] && SameInput.TryGetValue(tensor, out string? other) ? $"blk.{layer}.{other}{Suffix}" : null;

    private void Add(string name, ImatrixEntry entry, int matrix, ReadOnlyMemory<float> input, int tokens)
    {
        Memory<float> squares = entry.Squares.AsMemory(matrix * entry.Columns, entry.Columns);
        ColumnSums.Add(input, entry.Sums.AsMemory(matrix * entry.Columns, entry.Columns), squares, compute);
        foreach (float square in squares.Span)
        {
            if (!float.IsFinite(square))
            {
                throw new CheckpointException(model, $"the inputs of '{name}' in chunk {Chunk} are no finite numbers, or too large to be squared. The weights are damaged, or the model was not meant to be run on this text.");
            }
        }

        entry.Counts[matrix] = checked(entry.Counts[matrix] + tokens);
    }
}

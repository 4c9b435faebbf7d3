using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>Sees what flows through the model: inputs of Linears for calibration, hidden states for tests and layer-wise work.</summary>
public interface IForwardObserver
{
    /// <summary>Called before a Linear is applied.</summary>
    void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens);

    /// <summary>Called with the hidden state [tokens × hidden] behind a decoder layer.</summary>
    void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden);

    /// <summary>Called with a token's choice of experts.</summary>
    void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights);
}

/// <summary>New tokens of one sequence.</summary>
/// <param name="Cache">Keys and values of the tokens before, to which the new ones are added.</param>
/// <param name="Tokens">Number of new tokens.</param>
/// <param name="Positions">
/// Positions on each axis (one array for text models, three for vision models), the first new token's at <paramref name="Offset"/>; null counts on from the cache's length plus
/// <paramref name="Offset"/> on every axis.
/// </param>
/// <param name="Offset">See <paramref name="Positions"/>.</param>
public readonly record struct SequenceRun(KvCache Cache, int Tokens, IReadOnlyList<int[]>? Positions = null, int Offset = 0);

/// <summary>Working memory of layers that a <see cref="ForwardPass"/> keeps.</summary>
internal enum PassBuffer
{
    Normed,
    Branch,
    Queries,
    Keys,
    Values,
    Attended,
    Gate,
    Up,
    ExpertInputs,
    ExpertOutputs,
    Routing,
}

/// <summary>
/// A run of new tokens of one or more sequences through the layers, and the working memory for it: kept between runs, so that a token allocates nothing. Used by one thread at a time;
/// a result does not depend on what else is in the run.
/// </summary>
public sealed class ForwardPass : IDisposable
{
    private readonly float[][] buffers = new float[Enum.GetValues<PassBuffer>().Length][];
    private SequenceRun[] runs = [];
    private int runCount;
    private int[] integers = [];
    private readonly Dictionary<Linear, WeightMatrix> replaced = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<float[], float[]> replacedValues = new(ReferenceEqualityComparer.Instance);

    internal ForwardPass(ComputeOptions compute, IForwardObserver? observer, bool allExperts = false)
    {
        (Compute, Observer, AllExperts) = (compute, observer, allExperts);
        buffers.AsSpan().Fill([]);
    }

    /// <summary>Threads and kernels.</summary>
    public ComputeOptions Compute { get; }

    /// <summary>Sees what flows, or null.</summary>
    public IForwardObserver? Observer { get; set; }

    /// <summary>Every expert runs on every token, for the observer to see; only the outputs of the chosen experts count, so that results are the same.</summary>
    public bool AllExperts { get; set; }

    /// <summary>New tokens of all sequences.</summary>
    public int Tokens { get; private set; }

    /// <summary>The sequences, whose tokens follow each other.</summary>
    public ReadOnlySpan<SequenceRun> Runs => runs.AsSpan(0, runCount);

    /// <summary>Angles of the new tokens.</summary>
    internal RotaryAngles Rotary { get; } = new();

    /// <summary>The inputs of the Linears at work.</summary>
    internal MatrixInput Inputs { get; } = new();

    /// <summary>Uses another weight for a Linear from now on; any number of Linears may have one.</summary>
    /// <param name="linear">The Linear.</param>
    /// <param name="weight">A weight of the same shape; null for the model's own.</param>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    public void Replace(Linear linear, WeightMatrix? weight)
    {
        ArgumentNullException.ThrowIfNull(linear);
        if (weight is not null && (weight.Rows, weight.Columns) != (linear.Weight.Rows, linear.Weight.Columns))
        {
            throw new ArgumentException($"[{weight.Rows}, {weight.Columns}] cannot stand for '{linear.Name}' [{linear.Weight.Rows}, {linear.Weight.Columns}].", nameof(weight));
        }

        if (weight is null)
        {
            replaced.Remove(linear);
        }
        else
        {
            replaced[linear] = weight;
        }
    }

    /// <summary>Uses other values for a norm, a bias or the router from now on; any number of them may have some.</summary>
    /// <param name="vector">One of <see cref="IDecoderLayer.Vectors"/>.</param>
    /// <param name="values">As many values; null for the model's own.</param>
    /// <exception cref="ArgumentException">The length is another.</exception>
    public void Replace(LayerVector vector, float[]? values)
    {
        ArgumentNullException.ThrowIfNull(vector);
        if (values is not null && values.Length != vector.Values.Length)
        {
            throw new ArgumentException($"{values.Length} values cannot stand for '{vector.Name}', which has {vector.Values.Length}.", nameof(values));
        }

        if (values is null)
        {
            replacedValues.Remove(vector.Values);
        }
        else
        {
            replacedValues[vector.Values] = values;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Inputs.Dispose();

    internal WeightMatrix WeightOf(Linear linear) => replaced.Count > 0 && replaced.TryGetValue(linear, out WeightMatrix? weight) ? weight : linear.Weight;

    internal float[] ValuesOf(LayerVector vector) => ValuesOf(vector.Values);

    internal float[] ValuesOf(float[] values) => replacedValues.Count > 0 && replacedValues.TryGetValue(values, out float[]? others) ? others : values;

    /// <summary>Begins a run; makes room in the caches.</summary>
    internal void Begin(ReadOnlySpan<SequenceRun> sequences)
    {
        (Tokens, runCount) = (0, sequences.Length);
        if (runs.Length < runCount)
        {
            runs = new SequenceRun[runCount];
        }

        sequences.CopyTo(runs);
        foreach (SequenceRun run in sequences)
        {
            run.Cache.Reserve(run.Tokens);
            Tokens += run.Tokens;
        }
    }

    /// <summary>Begins a run of rows that belong to no sequence.</summary>
    internal void Begin(int rows) => (Tokens, runCount) = (rows, 0);

    /// <summary>The tokens are complete in every layer.</summary>
    internal void Advance()
    {
        foreach (SequenceRun run in Runs)
        {
            run.Cache.Advance(run.Tokens);
        }
    }

    /// <summary>Working memory; what was in it is not kept.</summary>
    internal Memory<float> Buffer(PassBuffer buffer, int length)
    {
        ref float[] memory = ref buffers[(int)buffer];
        if (memory.Length < length)
        {
            memory = GC.AllocateUninitializedArray<float>(length);
        }

        return memory.AsMemory(0, length);
    }

    /// <summary>Working memory for numbers of experts and tokens; what was in it is not kept.</summary>
    internal Span<int> Integers(int length)
    {
        if (integers.Length < length)
        {
            integers = new int[length];
        }

        return integers.AsSpan(0, length);
    }
}

using Bitsmith.Checkpoints;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models;

/// <summary>
/// The language model of a checkpoint: embedding, decoder layers, final norm and head, with activations in binary32. Immutable once opened; a run has its own
/// <see cref="ForwardPass"/>, each sequence its own <see cref="KvCache"/>.
/// </summary>
public sealed class LanguageModel
{
    private readonly ComputeOptions compute;
    private readonly WeightMatrix embedding, head;
    private readonly RotaryEmbedding rotary;
    private readonly RmsNorm finalNorm;

    private LanguageModel(DecoderConfig config, ModelWeights weights, Architecture architecture, ComputeOptions compute, bool exactActivations)
    {
        Config = config;
        this.compute = compute;
        DecoderBuilder builder = new(config, weights, architecture.Prefix, exactActivations);
        embedding = weights.Matrix(architecture.Prefix + "embed_tokens", config.VocabSize, config.HiddenSize);
        head = config.TieWordEmbeddings && !weights.Has("lm_head.weight") ? embedding : weights.Matrix("lm_head", config.VocabSize, config.HiddenSize);
        rotary = new RotaryEmbedding(config.RotaryWidth, config.RopeTheta, config.MropeSection);
        Layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(layer => architecture.Layer(builder, layer))];
        finalNorm = builder.Norm("norm");
    }

    /// <summary>The numbers of the model.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The decoder layers, in order.</summary>
    public IReadOnlyList<IDecoderLayer> Layers { get; }

    /// <summary>What a token costs in Linears, the head included: of experts those that it passes.</summary>
    public TokenCost CostPerToken
    {
        get
        {
            TokenCost cost = new(head.Bytes, 2.0 * head.Rows * head.Columns);
            foreach (Linear linear in Layers.SelectMany(layer => layer.Linears))
            {
                double share = Config.Moe is { } moe && linear.Name.Contains(".mlp.experts.", StringComparison.Ordinal) ? (double)moe.NumExpertsPerTok / moe.NRoutedExperts : 1;
                cost = new TokenCost(cost.Bytes + (share * linear.Weight.Bytes), cost.Operations + (share * 2 * linear.Weight.Rows * linear.Weight.Columns));
            }

            return cost;
        }
    }

    /// <summary>Builds the model over open weights, which must stay open while it is used.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <param name="exactActivations">Inputs stay exact where the checkpoint's scheme quantizes them at run time.</param>
    /// <exception cref="CheckpointException">The architecture is unknown, or a tensor is missing or has another shape.</exception>
    public static LanguageModel Create(ModelWeights weights, ComputeOptions compute, bool exactActivations = false)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Architecture architecture = Architecture.Of(weights.Config.ModelType, weights.Path);
        return new LanguageModel(DecoderConfig.Read(weights.Config), weights, architecture, compute, exactActivations);
    }

    /// <summary>An empty cache for a sequence of at most this many tokens; the caller disposes it.</summary>
    /// <param name="capacity">Most tokens.</param>
    /// <param name="type">What keys and values are stored as: F32, BF16, F16 or F8_E4M3.</param>
    /// <exception cref="ArgumentException">The type is none of the four.</exception>
    public KvCache NewCache(int capacity, ElementType type = ElementType.F32) =>
        new(Config.NumHiddenLayers, Config.NumKeyValueHeads, Config.HeadDim, capacity, type);

    /// <summary>An empty cache for a sequence that runs through one layer only; the caller disposes it.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="capacity">Most tokens.</param>
    /// <param name="type">As for <see cref="NewCache"/>.</param>
    public KvCache NewLayerCache(int layer, int capacity, ElementType type = ElementType.F32) => new(1, Config.NumKeyValueHeads, Config.HeadDim, capacity, type, layer);

    /// <summary>Embeddings [tokens × D].</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public float[] Embed(ReadOnlySpan<int> ids)
    {
        float[] hidden = new float[ids.Length * Config.HiddenSize];
        Embed(ids, hidden);
        return hidden;
    }

    /// <summary>Embeddings.</summary>
    /// <param name="ids">Tokens.</param>
    /// <param name="hidden">Receives [tokens × D].</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public void Embed(ReadOnlySpan<int> ids, Span<float> hidden)
    {
        for (int i = 0; i < ids.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(ids[i]);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(ids[i], Config.VocabSize);
            embedding.Read(ids[i], 1, hidden.Slice(i * Config.HiddenSize, Config.HiddenSize), compute.InstructionSet);
        }

        if (compute.BFloat16Results)
        {
            ElementwiseKernels.RoundToBFloat16(hidden, compute.InstructionSet);
        }
    }

    /// <summary>Working memory for runs, to be kept between them.</summary>
    /// <param name="observer">Sees what flows, or null.</param>
    /// <param name="allExperts">Every expert runs on every token, for the observer to see; results are the same.</param>
    public ForwardPass NewPass(IForwardObserver? observer = null, bool allExperts = false) => new(compute, observer, allExperts);

    /// <summary>Prepares a run of new tokens of sequences, in one batch; makes room for them in the caches.</summary>
    /// <param name="pass">From <see cref="NewPass"/>.</param>
    /// <param name="sequences">The sequences; each has its own cache.</param>
    /// <exception cref="InvalidOperationException">The tokens do not fit into a cache.</exception>
    public void Begin(ForwardPass pass, params ReadOnlySpan<SequenceRun> sequences)
    {
        ArgumentNullException.ThrowIfNull(pass);
        pass.Begin(sequences);
        rotary.Fill(pass.Rotary, sequences, pass.Tokens, compute);
    }

    /// <summary>Prepares a run of new tokens of one sequence, with working memory of its own.</summary>
    /// <inheritdoc cref="SequenceRun" path="/param"/>
    /// <exception cref="InvalidOperationException">The tokens do not fit into the cache.</exception>
    public ForwardPass Begin(int tokens, KvCache cache, IReadOnlyList<int[]>? positions = null, IForwardObserver? observer = null)
    {
        ArgumentNullException.ThrowIfNull(cache);
        ForwardPass pass = NewPass(observer);
        Begin(pass, new SequenceRun(cache, tokens, positions));
        return pass;
    }

    /// <summary>Runs layers from one on, given the hidden state before it: the whole model, its tail, or one layer at a time.</summary>
    /// <param name="hidden">[tokens × D]; changed in place.</param>
    /// <param name="pass">Begun.</param>
    /// <param name="first">First layer.</param>
    /// <param name="count">Number of layers; null for the rest.</param>
    public void RunLayers(Memory<float> hidden, ForwardPass pass, int first = 0, int? count = null)
    {
        ArgumentNullException.ThrowIfNull(pass);
        if (hidden.Length != pass.Tokens * Config.HiddenSize)
        {
            throw new ArgumentException($"{hidden.Length} values are no hidden state of {pass.Tokens} tokens × {Config.HiddenSize}.", nameof(hidden));
        }

        for (int layer = first; layer < first + (count ?? (Layers.Count - first)); layer++)
        {
            Layers[layer].Forward(hidden, pass);
            pass.Observer?.OnLayerOutput(layer, hidden);
        }
    }

    /// <summary>Lets the system take back the memory of a layer's weights; when the layer runs again, they are read from their file again.</summary>
    public void ReleaseLayer(int layer)
    {
        foreach (Linear linear in Layers[layer].Linears)
        {
            linear.Weight.Release();
        }
    }

    /// <summary>Lets the system take back the memory of the embedding; when tokens are embedded again, it is read from its file again.</summary>
    public void ReleaseEmbedding() => embedding.Release();

    /// <summary>The final norm [tokens × D], in place.</summary>
    public void Normalize(Memory<float> hidden) => RowWork.Normalize(finalNorm, hidden, hidden, compute);

    /// <summary>Runs the new tokens of a run through all layers and the final norm; the caches grow by them.</summary>
    /// <param name="hidden">Embeddings [tokens × D]; changed in place into the final normed state.</param>
    /// <param name="pass">Begun.</param>
    public void Forward(Memory<float> hidden, ForwardPass pass)
    {
        RunLayers(hidden, pass);
        pass.Advance();
        Normalize(hidden);
    }

    /// <summary>Runs new tokens of one sequence, with working memory of its own.</summary>
    /// <param name="hidden">Embeddings [tokens × D]; changed in place into the final normed state.</param>
    /// <param name="cache">The sequence so far.</param>
    /// <param name="positions">As for <see cref="SequenceRun"/>.</param>
    /// <param name="observer">Sees what flows, or null.</param>
    public void Forward(Memory<float> hidden, KvCache cache, IReadOnlyList<int[]>? positions = null, IForwardObserver? observer = null)
    {
        using ForwardPass pass = Begin(hidden.Length / Config.HiddenSize, cache, positions, observer);
        Forward(hidden, pass);
    }

    /// <summary>Logits of final normed states.</summary>
    /// <param name="normed">[tokens × D].</param>
    /// <param name="logits">Receives [tokens × V].</param>
    /// <param name="pass">Its working memory is used.</param>
    public void Logits(ReadOnlyMemory<float> normed, Memory<float> logits, ForwardPass pass)
    {
        ArgumentNullException.ThrowIfNull(pass);
        pass.Inputs.Set(normed, normed.Length / Config.HiddenSize);
        head.Multiply(pass.Inputs, default, logits, compute);
    }

    /// <summary>Logits [tokens × V] of final normed states [tokens × D].</summary>
    public float[] Logits(ReadOnlyMemory<float> normed)
    {
        using ForwardPass pass = NewPass();
        float[] logits = new float[normed.Length / Config.HiddenSize * Config.VocabSize];
        Logits(normed, logits, pass);
        return logits;
    }
}

/// <summary>What a token costs.</summary>
/// <param name="Bytes">Bytes of weights that it reads, in their stored form.</param>
/// <param name="Operations">Products and additions with them.</param>
public readonly record struct TokenCost(double Bytes, double Operations);

using Bitsmith.Checkpoints;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models;

/// <summary>
/// The language model of a checkpoint: embedding, decoder layers, final norm and head, with activations in binary32. Immutable once opened; one sequence is run by one thread at
/// a time, with its own <see cref="KvCache"/>.
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

    /// <summary>Builds the model over open weights, which must stay open while it is used.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <param name="exactActivations">Inputs stay exact where the checkpoint's scheme quantizes them at run time.</param>
    /// <exception cref="CheckpointException">The architecture is unknown, or a tensor is missing or has another shape.</exception>
    public static LanguageModel Create(ModelWeights weights, ComputeOptions compute, bool exactActivations = false)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Architecture architecture = Architecture.Of(weights.Config.ModelType, weights.Folder);
        return new LanguageModel(DecoderConfig.Read(weights.Config, weights.Folder), weights, architecture, compute, exactActivations);
    }

    /// <summary>An empty cache for a sequence of at most this many tokens.</summary>
    public KvCache NewCache(int capacity) => new(Config.NumHiddenLayers, Config.NumKeyValueHeads, Config.HeadDim, capacity);

    /// <summary>Embeddings [tokens × D].</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public float[] Embed(ReadOnlySpan<int> ids)
    {
        float[] hidden = new float[ids.Length * Config.HiddenSize];
        for (int i = 0; i < ids.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(ids[i]);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(ids[i], Config.VocabSize);
            embedding.Read(ids[i], 1, hidden.AsSpan(i * Config.HiddenSize, Config.HiddenSize), compute.InstructionSet);
        }

        return hidden;
    }

    /// <summary>Prepares a run of new tokens of a sequence; makes room for them in the cache.</summary>
    /// <param name="tokens">Number of new tokens.</param>
    /// <param name="cache">The sequence so far.</param>
    /// <param name="positions">
    /// Positions of the tokens on each axis (one array for text models, three for vision models); null counts on from the cache's length on every axis.
    /// </param>
    /// <param name="observer">Sees what flows, or null.</param>
    /// <exception cref="InvalidOperationException">The tokens do not fit into the cache.</exception>
    public ForwardPass Begin(int tokens, KvCache cache, IReadOnlyList<int[]>? positions = null, IForwardObserver? observer = null)
    {
        ArgumentNullException.ThrowIfNull(cache);
        cache.Reserve(tokens);
        positions ??= [.. Enumerable.Repeat(Enumerable.Range(cache.Length, tokens).ToArray(), Config.MropeSection is null ? 1 : 3)];
        return new ForwardPass(compute, tokens, cache, rotary.Angles(positions), observer);
    }

    /// <summary>Runs layers from one on, given the hidden state before it: the whole model, its tail, or one layer at a time.</summary>
    /// <param name="hidden">[tokens × D]; changed in place.</param>
    /// <param name="pass">From <see cref="Begin"/>.</param>
    /// <param name="first">First layer.</param>
    /// <param name="count">Number of layers; null for the rest.</param>
    public void RunLayers(float[] hidden, ForwardPass pass, int first = 0, int? count = null)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(pass);
        for (int layer = first; layer < first + (count ?? (Layers.Count - first)); layer++)
        {
            Layers[layer].Forward(hidden, pass);
            pass.Observer?.OnLayerOutput(layer, hidden);
        }
    }

    /// <summary>The final norm [tokens × D], in place.</summary>
    public void Normalize(float[] hidden) => finalNorm.Apply(hidden, hidden, compute.InstructionSet);

    /// <summary>Runs new tokens of a sequence through all layers and the final norm; the cache grows by them.</summary>
    /// <param name="hidden">Embeddings [tokens × D]; changed in place into the final normed state.</param>
    /// <param name="cache">The sequence so far.</param>
    /// <param name="positions">As for <see cref="Begin"/>.</param>
    /// <param name="observer">Sees what flows, or null.</param>
    public void Forward(float[] hidden, KvCache cache, IReadOnlyList<int[]>? positions = null, IForwardObserver? observer = null)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(cache);
        ForwardPass pass = Begin(hidden.Length / Config.HiddenSize, cache, positions, observer);
        RunLayers(hidden, pass);
        cache.Advance(pass.Tokens);
        Normalize(hidden);
    }

    /// <summary>Logits [tokens × V] of final normed states [tokens × D].</summary>
    public float[] Logits(ReadOnlyMemory<float> normed)
    {
        int tokens = normed.Length / Config.HiddenSize;
        float[] logits = new float[tokens * Config.VocabSize];
        head.Multiply(normed, tokens, default, logits, compute);
        return logits;
    }
}

using Bitsmith.Checkpoints;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Statistics;

/// <summary>Statistics of what flows into the Linears of a layer, in one run of all samples through it. Linears that take the same input share theirs. Whoever asks for second moments disposes it.</summary>
public sealed class LayerStatistics : IForwardObserver, IDisposable
{
    private readonly CalibrationLayer layer;
    private readonly StatisticsOptions options;
    private readonly Predicate<Linear>? moments;
    private readonly Dictionary<Linear, (Linear Taken, InputSums Sums)> linears = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<Linear, (InputSums Sums, SecondMoments? Moments, int? Expert)> taken = new(ReferenceEqualityComparer.Instance);
    private readonly List<(int Expert, float Weight)> routed = [];
    private LayerStatistics? ofAllTokens;
    private long[] routedTokens = [];
    private int each, weighed = -1;
    private float[] scratch = [], weights = [];

    /// <summary>Begins with nothing seen.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="options">Which statistics; the run must have the same <see cref="StatisticsOptions.AllExperts"/>.</param>
    /// <param name="moments">Linears whose inputs' second moments are taken, which are large: 4 · columns² bytes; null for none.</param>
    /// <param name="only">Linears that are taken at all; null for all.</param>
    public LayerStatistics(CalibrationLayer layer, StatisticsOptions options, Predicate<Linear>? moments = null, Predicate<Linear>? only = null)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(options);
        (this.layer, this.options, this.moments) = (layer, options, moments);
        bool expertsAlike = options is { AllExperts: true, Weighting: TokenWeighting.Alike };
        Dictionary<string, Linear> byName = layer.Layer.Linears.ToDictionary(linear => linear.Name, StringComparer.Ordinal);
        foreach (Linear linear in layer.Layer.Linears.Where(linear => only is null || only(linear)))
        {
            Linear first = byName[LinearName.SharedInput(linear.Name, expertsAlike)];
            if (!taken.TryGetValue(first, out var place))
            {
                place = (new InputSums(linear.Weight.Columns, options.Quantiles), null, LinearName.ExpertOf(first.Name));
            }

            taken[first] = place with { Moments = place.Moments ?? (moments?.Invoke(linear) == true ? new SecondMoments(linear.Weight.Columns) : null) };
            linears.Add(linear, (first, place.Sums));
        }
    }

    /// <summary>The statistics of a Linear's input.</summary>
    /// <exception cref="KeyNotFoundException">The Linear is not taken.</exception>
    public InputSums Of(Linear linear) => OfAllTokens(linear)?.Of(linear) ?? linears[linear].Sums;

    /// <summary>The second moments of a Linear's input.</summary>
    /// <exception cref="KeyNotFoundException">The Linear is not taken.</exception>
    /// <exception cref="InvalidOperationException">Its second moments were not asked for.</exception>
    public SecondMoments MomentsOf(Linear linear) =>
        OfAllTokens(linear)?.MomentsOf(linear) ?? taken[linears[linear].Taken].Moments ?? throw new InvalidOperationException($"The second moments of '{linear.Name}' were not asked for.");

    /// <summary>All samples ran through the layer: experts that saw no token get statistics of all tokens, which run through them once more, or are an error, as the options say.</summary>
    /// <param name="weights">What the layer ran with; null for its own weights.</param>
    /// <returns>Tokens of the experts; null for a layer without any.</returns>
    /// <exception cref="CheckpointException">An expert saw no token.</exception>
    public ExpertTokens? Complete(LayerWeights? weights = null)
    {
        CompleteMoments();
        HashSet<Linear> unseen = new(linears.Where(pair => pair.Value.Sums.Tokens == 0).Select(pair => pair.Key), ReferenceEqualityComparer.Instance);
        int[] experts = [.. unseen.Select(linear => LinearName.ExpertOf(linear.Name)!.Value).Distinct().Order()];
        if (experts.Length > 0)
        {
            if (options.Unseen == UnseenExpert.Error)
            {
                throw new CheckpointException(
                    $"layer {layer.Index}", $"the router gave no token to {experts.Length} of its experts: {string.Join(", ", experts.Take(20))}{(experts.Length > 20 ? ", ..." : string.Empty)}. Calibrate all experts, take more samples, or allow statistics of all tokens for such experts.");
            }

            ofAllTokens = new LayerStatistics(layer, options with { AllExperts = true, Weighting = TokenWeighting.Alike }, moments, unseen.Contains);
            layer.Run(ofAllTokens, allExperts: true, weights);
            ofAllTokens.Complete();
        }

        if (routedTokens.Length == 0)
        {
            return null;
        }

        Dictionary<int, long> seen = linears.Keys.Where(linear => LinearName.ExpertOf(linear.Name) is not null)
            .GroupBy(linear => LinearName.ExpertOf(linear.Name)!.Value).ToDictionary(expert => expert.Key, expert => expert.Min(linear => Of(linear).Tokens));
        return new ExpertTokens(layer.Index, [.. routedTokens], [.. Enumerable.Range(0, routedTokens.Length).Select(expert => seen.GetValueOrDefault(expert))], experts);
    }

    /// <summary>No more samples come, as far as second moments are concerned.</summary>
    internal void CompleteMoments()
    {
        foreach (var place in taken.Values)
        {
            place.Moments?.Complete(layer.Compute);
        }
    }

    /// <inheritdoc/>
    public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens)
    {
        ArgumentNullException.ThrowIfNull(linear);
        if (!taken.TryGetValue(linear, out var place))
        {
            return;
        }

        if (scratch.Length < tokens)
        {
            scratch = new float[tokens];
        }

        ReadOnlyMemory<float> counts = place.Expert is int expert && options.Weighting == TokenWeighting.Router ? WeightsOf(expert, tokens) : default;
        if (!place.Sums.Add(input, counts, tokens, scratch, layer.Compute))
        {
            throw new CheckpointException(linear.Name, $"its inputs are no finite numbers, or too large ({layer.AtWork}). The weights are damaged, or the model was not meant to be run on these samples.");
        }

        place.Moments?.Add(input, counts, layer.Compute);
    }

    /// <inheritdoc/>
    public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden)
    {
    }

    /// <inheritdoc/>
    public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
    {
        if (token == 0)
        {
            routed.Clear();
            (each, weighed) = (experts.Length, -1);
        }

        for (int i = 0; i < experts.Length; i++)
        {
            if (experts[i] >= routedTokens.Length)
            {
                Array.Resize(ref routedTokens, 1 + this.layer.Layer.Linears.Max(linear => LinearName.ExpertOf(linear.Name) ?? 0));
            }

            routedTokens[experts[i]]++;
            routed.Add((experts[i], weights[i]));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ofAllTokens?.Dispose();
        foreach (var place in taken.Values)
        {
            place.Moments?.Dispose();
        }
    }

    private LayerStatistics? OfAllTokens(Linear linear) => ofAllTokens?.linears.ContainsKey(linear) == true ? ofAllTokens : null;

    /// <summary>What the tokens that an expert sees count: all of the pass, or those that chose it, in ascending order.</summary>
    private ReadOnlyMemory<float> WeightsOf(int expert, int tokens)
    {
        if (weights.Length < tokens)
        {
            weights = new float[tokens];
        }

        if (weighed != expert)
        {
            weighed = expert;
            weights.AsSpan(0, tokens).Fill(options.LeastWeight * options.LeastWeight);
            for (int place = 0, row = 0; place < routed.Count; place++)
            {
                if (routed[place].Expert == expert)
                {
                    float weight = Math.Max(routed[place].Weight, options.LeastWeight);
                    weights[options.AllExperts ? place / each : row++] = weight * weight;
                }
            }
        }

        return weights.AsMemory(0, tokens);
    }
}

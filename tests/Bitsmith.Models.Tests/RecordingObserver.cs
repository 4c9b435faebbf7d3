using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Tests;

/// <summary>Keeps the hidden states behind every layer, and the experts chosen and their weights by layer, token after token.</summary>
internal sealed class RecordingObserver : IForwardObserver
{
    public List<float[]> Layers { get; } = [];

    public Dictionary<int, List<int>> Experts { get; } = [];

    public Dictionary<int, List<float>> Weights { get; } = [];

    public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens) => Assert.Equal(tokens * linear.Weight.Columns, input.Length);

    public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden) => Layers.Add(hidden.ToArray());

    public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
    {
        if (!Experts.TryGetValue(layer, out List<int>? list))
        {
            (Experts[layer], Weights[layer]) = (list = [], []);
        }

        Assert.Equal(token, list.Count / experts.Length);
        list.AddRange(experts);
        Weights[layer].AddRange(weights);
    }
}

using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration;

/// <summary>What takes the place of a decoder layer's own weights.</summary>
/// <param name="Linears">Weights of Linears, of the same shapes.</param>
/// <param name="Vectors">Values of norms, biases and the router, of the same lengths.</param>
public sealed record LayerWeights(IReadOnlyDictionary<Linear, WeightMatrix> Linears, IReadOnlyDictionary<LayerVector, float[]> Vectors)
{
    /// <summary>Weights of Linears alone.</summary>
    public LayerWeights(IReadOnlyDictionary<Linear, WeightMatrix> linears)
        : this(linears, new Dictionary<LayerVector, float[]>())
    {
    }

    /// <summary>The layer keeps its own.</summary>
    public static LayerWeights None { get; } = new(new Dictionary<Linear, WeightMatrix>());
}

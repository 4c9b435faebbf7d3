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

/// <summary>One run of new tokens of one sequence through the layers.</summary>
/// <param name="Compute">Threads and kernels.</param>
/// <param name="Tokens">Number of new tokens.</param>
/// <param name="Cache">Keys and values of the tokens before, to which the new ones are added.</param>
/// <param name="Rotary">Angles of the new tokens.</param>
/// <param name="Observer">Sees what flows, or null.</param>
public sealed record ForwardPass(ComputeOptions Compute, int Tokens, KvCache Cache, RotaryAngles Rotary, IForwardObserver? Observer = null);

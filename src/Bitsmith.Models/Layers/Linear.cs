using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>y = W x + b.</summary>
/// <param name="Name">The module's path in the checkpoint.</param>
/// <param name="Weight">W [out, in].</param>
/// <param name="Bias">b [out], or empty.</param>
/// <param name="ActivationGroup">x is quantized to FP8 in groups of this many features first, as the checkpoint's scheme says; null leaves it exact.</param>
public sealed record Linear(string Name, WeightMatrix Weight, float[] Bias, int? ActivationGroup = null)
{
    /// <summary>Applies the layer.</summary>
    /// <param name="input">tokens × in.</param>
    /// <param name="tokens">Number of tokens.</param>
    /// <param name="output">Receives tokens × out.</param>
    /// <param name="pass">The pass at work; its observer sees the input.</param>
    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        ArgumentNullException.ThrowIfNull(pass);
        pass.Observer?.OnLinearInput(this, input, tokens);
        if (ActivationGroup is int group)
        {
            float[] quantized = new float[input.Length];
            Fp8Activations.RoundTrip(input.Span, group, quantized, pass.Compute.InstructionSet);
            input = quantized;
        }

        Weight.Multiply(input, tokens, Bias, output, pass.Compute);
    }
}

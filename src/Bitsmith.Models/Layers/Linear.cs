using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>y = W x + b.</summary>
/// <param name="Name">The module's path in the checkpoint.</param>
/// <param name="Weight">W [out, in].</param>
/// <param name="Bias">b [out], or empty.</param>
/// <param name="InputScheme">How x is quantized first, as the checkpoint's scheme says; null leaves it exact.</param>
public sealed record Linear(string Name, WeightMatrix Weight, float[] Bias, InputQuantization? InputScheme = null)
{
    /// <summary>b by its name, where there is one.</summary>
    internal IEnumerable<LayerVector> Vectors => Bias.Length == 0 ? [] : [new($"{Name}.bias", Bias)];

    /// <summary>Applies the layer.</summary>
    /// <param name="inputs">tokens × in.</param>
    /// <param name="output">Receives tokens × out.</param>
    /// <param name="pass">The pass at work; its observer sees the input.</param>
    internal void Forward(MatrixInput inputs, Memory<float> output, ForwardPass pass)
    {
        pass.Observer?.OnLinearInput(this, inputs.Values, inputs.Tokens);
        pass.WeightOf(this).Multiply(InputScheme is null ? inputs : inputs.Quantized(InputScheme, pass.Compute), pass.ValuesOf(Bias), output, pass.Compute);
    }

    /// <summary>Applies the layer to inputs that no other layer shares.</summary>
    internal void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        pass.Inputs.Set(input, tokens);
        Forward(pass.Inputs, output, pass);
    }
}

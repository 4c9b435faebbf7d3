using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>rms(x; w) = w · x / √(mean(x²) + ε), in binary32.</summary>
/// <param name="weight">w.</param>
/// <param name="epsilon">ε.</param>
internal sealed class RmsNorm(LayerVector weight, float epsilon)
{
    public int Width => weight.Values.Length;

    /// <summary>w.</summary>
    public LayerVector Weight => weight;

    /// <summary>Normalizes rows of <see cref="Width"/> values; input and output may be the same memory.</summary>
    /// <param name="values">w, or what is used in its place.</param>
    /// <param name="input">Rows.</param>
    /// <param name="output">Receives the rows.</param>
    /// <param name="compute">Kernels.</param>
    public void Apply(ReadOnlySpan<float> values, ReadOnlySpan<float> input, Span<float> output, ComputeOptions compute)
    {
        if (compute.BFloat16Results)
        {
            ElementwiseKernels.RmsNormBFloat16(input, values, epsilon, output, compute.InstructionSet);
        }
        else
        {
            ElementwiseKernels.RmsNorm(input, values, epsilon, output, compute.InstructionSet);
        }
    }
}

using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>rms(x; w) = w · x / √(mean(x²) + ε), in binary32.</summary>
/// <param name="weight">w.</param>
/// <param name="epsilon">ε.</param>
internal sealed class RmsNorm(float[] weight, float epsilon)
{
    public int Width => weight.Length;

    /// <summary>Normalizes rows of <see cref="Width"/> values; input and output may be the same memory.</summary>
    public void Apply(ReadOnlySpan<float> input, Span<float> output, ComputeOptions compute)
    {
        if (compute.BFloat16Results)
        {
            ElementwiseKernels.RmsNormBFloat16(input, weight, epsilon, output, compute.InstructionSet);
        }
        else
        {
            ElementwiseKernels.RmsNorm(input, weight, epsilon, output, compute.InstructionSet);
        }
    }
}

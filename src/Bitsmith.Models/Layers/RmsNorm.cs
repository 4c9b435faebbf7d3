using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Models.Layers;

/// <summary>rms(x; w) = w · x / √(mean(x²) + ε), in binary32.</summary>
/// <param name="weight">w.</param>
/// <param name="epsilon">ε.</param>
internal sealed class RmsNorm(float[] weight, float epsilon)
{
    public int Width => weight.Length;

    /// <summary>Normalizes rows of <see cref="Width"/> values; input and output may be the same memory.</summary>
    public void Apply(ReadOnlySpan<float> input, Span<float> output, InstructionSet instructionSet) => ElementwiseKernels.RmsNorm(input, weight, epsilon, output, instructionSet);
}

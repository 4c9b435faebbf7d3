using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>rms(x; w) = w · x / √(mean(x²) + ε), in binary32.</summary>
/// <param name="weight">w.</param>
/// <param name="epsilon">ε.</param>
internal sealed class RmsNorm(float[] weight, float epsilon)
{
    public int Width => weight.Length;

    /// <summary>Normalizes rows of <see cref="Width"/> values; input and output may be the same memory.</summary>
    public void Apply(ReadOnlySpan<float> input, Span<float> output, InstructionSet instructionSet)
    {
        for (int start = 0; start < input.Length; start += Width)
        {
            ReadOnlySpan<float> x = input.Slice(start, Width);
            Span<float> y = output.Slice(start, Width);
            float factor = 1 / MathF.Sqrt((DotProduct.Of(x, x, instructionSet) / Width) + epsilon);
            for (int i = 0; i < x.Length; i++)
            {
                y[i] = weight[i] * (x[i] * factor);
            }
        }
    }
}

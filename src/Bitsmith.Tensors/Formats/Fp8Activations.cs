using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// Dynamic quantization of activations to FP8 in groups along the features, and back: what a W8A8 client computes with. In binary32: scale = max|x| / 448 of
/// the group, machine epsilon where that is zero; code = e4m3fn(x / scale), nearest even; result = code · scale.
/// </summary>
/// <remarks>Source: compressed-tensors 0.17.1 with binary32 activations; vLLM's kernels differ from it only for groups whose largest magnitude is below 1e-10.</remarks>
public static class Fp8Activations
{
    private const float Epsilon = 1f / (1 << 23);

    /// <summary>Quantizes and decodes.</summary>
    /// <param name="input">Rows of features; the row length is a multiple of the group.</param>
    /// <param name="groupSize">Features that share a scale.</param>
    /// <param name="output">Receives the decoded values; may be the input.</param>
    /// <param name="instructionSet">The kernels to use; all give the same bits.</param>
    /// <exception cref="ArgumentException">The lengths differ or are no multiple of the group.</exception>
    public static void RoundTrip(ReadOnlySpan<float> input, int groupSize, Span<float> output, InstructionSet instructionSet)
    {
        if (groupSize <= 0 || input.Length != output.Length || input.Length % groupSize != 0)
        {
            throw new ArgumentException($"{input.Length} values do not divide into groups of {groupSize}, or do not fit {output.Length}.");
        }

        Span<byte> codes = groupSize <= 1024 ? stackalloc byte[groupSize] : new byte[groupSize];
        for (int start = 0; start < input.Length; start += groupSize)
        {
            ReadOnlySpan<float> x = input.Slice(start, groupSize);
            Span<float> y = output.Slice(start, groupSize);
            float largest = 0;
            foreach (float value in x)
            {
                largest = MathF.Max(largest, MathF.Abs(value));
            }

            float scale = largest / Float8E4M3.MaxValue;
            scale = scale == 0 ? Epsilon : scale;
            for (int i = 0; i < y.Length; i++)
            {
                y[i] = x[i] / scale;
            }

            ElementConversion.FromSingle(ElementType.F8E4M3, y, codes, instructionSet);
            ElementConversion.ToSingle(ElementType.F8E4M3, codes, y, instructionSet);
            for (int i = 0; i < y.Length; i++)
            {
                y[i] *= scale;
            }
        }
    }
}

using System.Numerics;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Conversion;

/// <summary>Whether weights fit a floating-point type.</summary>
internal static class FloatRange
{
    /// <summary>Finds weights that are not finite, or that rounding to the type would make infinite.</summary>
    /// <exception cref="JobException">There is one; tensor, row and column are named.</exception>
    public static void Check(ReadOnlySpan<float> values, ElementType type, string ggufName, TensorSource part, int firstRow)
    {
        float largest = LargestOf(type);
        Vector<float> limit = new(largest);
        int i = 0;

        // NaN compares false: it is found too.
        for (; i <= values.Length - Vector<float>.Count && Vector.LessThanOrEqualAll(Vector.Abs(new Vector<float>(values[i..])), limit); i += Vector<float>.Count)
        {
        }

        for (; i < values.Length; i++)
        {
            if (!(MathF.Abs(values[i]) <= largest))
            {
                string remedy = float.IsFinite(values[i]) ? $"beyond what {type.SafetensorsName()} holds. Convert with --type bf16 or f32" : "no weight. The checkpoint is damaged";
                throw new JobException($"tensor '{part.Name}' ({ggufName}), row {firstRow + (i / part.Columns)}, column {i % part.Columns}: {values[i]} is {remedy}.");
            }
        }
    }

    /// <summary>The largest binary32 that rounding to the type leaves finite.</summary>
    private static float LargestOf(ElementType type) => type switch
    {
        ElementType.F16 => MathF.BitDecrement(65520),
        ElementType.BF16 => BitConverter.UInt32BitsToSingle(0x7F7F7FFF),
        _ => float.MaxValue,
    };
}

using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>The attention kernel that options ask for.</summary>
internal static class AttentionArithmetic
{
    /// <summary>Floats of scratch memory that <see cref="Attend"/> needs for a shape with at most so many rows and positions.</summary>
    public static int ScratchFloats(int rows, int positions, int headDim, ElementType type, ComputeOptions compute) =>
        compute.BFloat16Results ? BFloat16Attention.ScratchFloats(positions, headDim) : AttentionKernel.ScratchFloats(rows, headDim, type);

    /// <inheritdoc cref="AttentionKernel.Attend"/>
    public static void Attend(
        in AttentionShape shape, ReadOnlySpan<float> queries, ElementType type, ReadOnlySpan<byte> keys, ReadOnlySpan<byte> values, Span<float> outputs, Span<float> scratch, ComputeOptions compute)
    {
        if (compute.BFloat16Results)
        {
            BFloat16Attention.Attend(shape, queries, type, keys, values, outputs, scratch, compute.InstructionSet);
        }
        else
        {
            AttentionKernel.Attend(shape, queries, type, keys, values, outputs, scratch, compute.InstructionSet);
        }
    }
}

using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>Scales of groups that are stored in the weights' own type; their bits are those of binary32.</summary>
internal static class FloatScales
{
    /// <inheritdoc cref="IGroupFormat.ReadScales"/>
    public static void Read(ElementType type, ReadOnlySpan<byte> source, Span<uint> stored, Span<float> scales)
    {
        ElementConversion.ToSingle(type, source, scales, InstructionSet.Scalar);
        MemoryMarshal.Cast<float, uint>(scales).CopyTo(stored);
    }

    /// <inheritdoc cref="IGroupFormat.WriteScales"/>
    public static void Write(ElementType type, ReadOnlySpan<uint> stored, Span<byte> target) =>
        ElementConversion.FromSingle(type, MemoryMarshal.Cast<uint, float>(stored), target, InstructionSet.Scalar);
}

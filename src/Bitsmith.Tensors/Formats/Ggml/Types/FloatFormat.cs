using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>F32, F16 and BF16: single values, rounded to nearest even. Values beyond F16's or BF16's range become its largest finite value.</summary>
internal sealed class FloatFormat(GgmlType type, ElementType element) : GgmlFormat(type, 1, element.Bytes())
{
    private readonly float largest = element switch { ElementType.F16 => 65504, ElementType.BF16 => 3.3895314e38f, _ => float.MaxValue };

    // A block is one value, so blocks are not decoded one by one.
    private protected override bool DecodeByLanes(ReadOnlySpan<byte> blocks, Span<float> values, InstructionSet set)
    {
        ElementConversion.ToSingle(element, blocks, values, set);
        return true;
    }

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values) => ElementConversion.ToSingle(element, block, values);

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima) => throw new NotSupportedException($"{Name} has no blocks.");

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
    {
        NonFiniteWeightException.ThrowIfAny(values, columns);
        Span<float> part = stackalloc float[512];
        for (int start = 0; start < values.Length; start += part.Length)
        {
            ReadOnlySpan<float> source = values[start..Math.Min(start + part.Length, values.Length)];
            for (int i = 0; i < source.Length; i++)
            {
                part[i] = Math.Clamp(source[i], -largest, largest);
            }

            ElementConversion.FromSingle(element, part[..source.Length], blocks.Slice(start * BlockBytes, source.Length * BlockBytes), set);
        }
    }
}

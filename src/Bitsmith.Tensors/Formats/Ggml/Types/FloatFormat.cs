using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>F32, F16 and BF16: single values, rounded to nearest even. Values beyond F16's or BF16's range become its largest finite value.</summary>
internal sealed class FloatFormat(GgmlType type, ElementType element) : GgmlFormat(type, 1, element.Bytes())
{
    private readonly float largest = element switch { ElementType.F16 => 65504, ElementType.BF16 => 3.3895314e38f, _ => float.MaxValue };

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values) => ElementConversion.ToSingle(element, block, values);

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        float value = Math.Clamp(values[0], -largest, largest);
        ElementConversion.FromSingle(element, [value], block);
    }
}

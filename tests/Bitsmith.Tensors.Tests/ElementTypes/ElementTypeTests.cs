using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Tensors.Tests.ElementTypes;

public sealed class ElementTypeTests
{
    [Theory]
    [InlineData(ElementType.F64, "F64", 8)]
    [InlineData(ElementType.F32, "F32", 4)]
    [InlineData(ElementType.F16, "F16", 2)]
    [InlineData(ElementType.BF16, "BF16", 2)]
    [InlineData(ElementType.F8E4M3, "F8_E4M3", 1)]
    [InlineData(ElementType.F8E5M2, "F8_E5M2", 1)]
    [InlineData(ElementType.F8E8M0, "F8_E8M0", 1)]
    [InlineData(ElementType.I64, "I64", 8)]
    [InlineData(ElementType.I32, "I32", 4)]
    [InlineData(ElementType.I16, "I16", 2)]
    [InlineData(ElementType.I8, "I8", 1)]
    [InlineData(ElementType.U64, "U64", 8)]
    [InlineData(ElementType.U32, "U32", 4)]
    [InlineData(ElementType.U16, "U16", 2)]
    [InlineData(ElementType.U8, "U8", 1)]
    [InlineData(ElementType.Bool, "BOOL", 1)]
    public void Each_type_has_the_name_and_size_of_safetensors(ElementType type, string name, int bytes)
    {
        Assert.Equal(name, type.SafetensorsName());
        Assert.Equal(bytes, type.Bytes());
        Assert.True(ElementTypeExtensions.TryParse(name, out ElementType parsed));
        Assert.Equal(type, parsed);
        Assert.Contains(name, ElementTypeExtensions.KnownNames, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_type_has_a_name_of_its_own() =>
        Assert.Equal(16, Enum.GetValues<ElementType>().Select(type => type.SafetensorsName()).Distinct().Count());

    [Theory]
    [InlineData("bf16")]
    [InlineData("F8_E4M3FN")]
    [InlineData("BF16 ")]
    [InlineData("")]
    public void Unknown_names_and_other_spellings_are_not_taken(string name) =>
        Assert.False(ElementTypeExtensions.TryParse(name, out _));

    [Fact]
    public void Only_the_three_training_types_are_weight_floats() =>
        Assert.Equal(
            [ElementType.F32, ElementType.F16, ElementType.BF16],
            Enum.GetValues<ElementType>().Where(type => type.IsWeightFloat()));
}

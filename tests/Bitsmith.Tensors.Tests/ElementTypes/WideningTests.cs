using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.ElementTypes;

public sealed class WideningTests
{
    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_bfloat16_widens_to_the_value_its_fields_say(InstructionSet set) =>
        EveryCodeMeans(ElementType.BF16, set, code => NearestEven.Value(code, 8, 7, infinities: true));

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_binary16_widens_to_the_value_its_fields_say(InstructionSet set) =>
        EveryCodeMeans(ElementType.F16, set, code => NearestEven.Value(code, 5, 10, infinities: true));

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_e4m3_code_widens_to_the_value_its_fields_say(InstructionSet set) =>
        EveryCodeMeans(ElementType.F8E4M3, set, code => (code & 0x7F) == 0x7F
            ? Math.CopySign(double.NaN, code > 0x7F ? -1 : 1)
            : NearestEven.Value(code, 4, 3, infinities: false));

    [Fact]
    public void The_table_of_e4m3_values_has_the_landmarks_of_the_specification()
    {
        ReadOnlySpan<float> values = Float8E4M3.Values;
        Assert.Equal(256, values.Length);
        Assert.Equal(448f, values[0x7E]);
        Assert.Equal(-448f, values[0xFE]);
        Assert.Equal(1f, values[0x38]);
        Assert.Equal(1f / 64, values[0x08]);
        Assert.Equal(1f / 512, values[0x01]);
        Assert.True(float.IsNegative(values[0x80]) && values[0x80] == 0);
        Assert.Equal(2, values.ToArray().Count(float.IsNaN));
        Assert.True(new Float8E4M3(0x7F).IsNaN && new Float8E4M3(0xFF).IsNaN && !new Float8E4M3(0x7E).IsNaN);
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Binary32_passes_through_untouched_in_both_directions(InstructionSet set)
    {
        uint[] bits = [0, 0x8000_0000, 1, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0001, 0x7F80_0001, 0x3F80_0000];
        float[] values = new float[bits.Length];
        ElementConversion.ToSingle(ElementType.F32, MemoryMarshal.AsBytes<uint>(bits), values, set);
        Assert.Equal(bits, MemoryMarshal.Cast<float, uint>(values).ToArray());

        byte[] back = new byte[values.Length * 4];
        ElementConversion.FromSingle(ElementType.F32, values, back, set);
        Assert.Equal(bits, MemoryMarshal.Cast<byte, uint>(back).ToArray());
    }

    [Theory]
    [InlineData(ElementType.BF16)]
    [InlineData(ElementType.F16)]
    [InlineData(ElementType.F8E4M3)]
    [InlineData(ElementType.F32)]
    public void A_length_that_does_not_fit_is_refused_in_both_directions(ElementType type)
    {
        byte[] bytes = new byte[(16 * type.Bytes()) + 1];
        float[] values = new float[16];
        Assert.Throws<ArgumentException>(() => ElementConversion.ToSingle(type, bytes, values));
        Assert.Throws<ArgumentException>(() => ElementConversion.FromSingle(type, values, bytes));
    }

    [Fact]
    public void Types_without_a_conversion_are_refused_by_name()
    {
        foreach (ElementType type in Enum.GetValues<ElementType>().Except([ElementType.F32, ElementType.F16, ElementType.BF16, ElementType.F8E4M3]))
        {
            byte[] bytes = new byte[type.Bytes()];
            ArgumentException refusal = Assert.Throws<ArgumentException>(() => ElementConversion.ToSingle(type, bytes, new float[1]));
            Assert.Contains(type.SafetensorsName(), refusal.Message, StringComparison.Ordinal);
        }
    }

    private static void EveryCodeMeans(ElementType type, InstructionSet set, Func<int, double> meaning)
    {
        int size = type.Bytes(), count = 1 << (8 * size);
        byte[] codes = new byte[count * size];
        for (int code = 0; code < count; code++)
        {
            codes[code * size] = (byte)code;
            if (size == 2)
            {
                codes[(code * 2) + 1] = (byte)(code >> 8);
            }
        }

        float[] values = new float[count], scalar = new float[count];
        ElementConversion.ToSingle(type, codes, values, set);
        ElementConversion.ToSingle(type, codes, scalar, InstructionSet.Scalar);
        for (int code = 0; code < count; code++)
        {
            double expected = meaning(code);
            Assert.True(NearestEven.Same(expected, values[code]), $"{set}: {type} 0x{code:X} gave {values[code]:R}, its fields say {expected:R}");
            Assert.True(
                BitConverter.SingleToUInt32Bits(scalar[code]) == BitConverter.SingleToUInt32Bits(values[code]),
                $"{set}: {type} 0x{code:X} gave bits {BitConverter.SingleToUInt32Bits(values[code]):X8}, scalar {BitConverter.SingleToUInt32Bits(scalar[code]):X8}");
        }
    }
}

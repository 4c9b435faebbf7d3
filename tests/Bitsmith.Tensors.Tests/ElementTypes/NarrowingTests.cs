using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.ElementTypes;

public sealed class NarrowingTests
{
    private static readonly float[] EveryBFloat16 =
        [.. Enumerable.Range(0, 1 << 16).Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16))];

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_bfloat16_survives_a_round_trip_through_f32(InstructionSet set)
    {
        ushort[] back = Narrow16(ElementType.BF16, EveryBFloat16, set);
        for (int bits = 0; bits < back.Length; bits++)
        {
            int expected = float.IsNaN(EveryBFloat16[bits]) ? bits | 0x40 : bits;
            Assert.True(expected == back[bits], $"{set}: 0x{bits:X4} came back as 0x{back[bits]:X4}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_binary16_survives_a_round_trip_through_f32(InstructionSet set)
    {
        ushort[] codes = [.. Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits)];
        float[] values = new float[codes.Length];
        ElementConversion.ToSingle(ElementType.F16, MemoryMarshal.AsBytes<ushort>(codes), values, set);
        ushort[] back = Narrow16(ElementType.F16, values, set);
        for (int bits = 0; bits < back.Length; bits++)
        {
            int expected = float.IsNaN(values[bits]) ? bits | 0x200 : bits;
            Assert.True(expected == back[bits], $"{set}: 0x{bits:X4} came back as 0x{back[bits]:X4}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_bfloat16_becomes_the_nearest_e4m3_value_or_the_even_code_between_two(InstructionSet set)
    {
        double[] magnitudes = [.. Enumerable.Range(0, 0x7F).Select(code => NearestEven.Value(code, 4, 3, infinities: false))];
        byte[] codes = new byte[EveryBFloat16.Length];
        ElementConversion.FromSingle(ElementType.F8E4M3, EveryBFloat16, codes, set);
        for (int bits = 0; bits < codes.Length; bits++)
        {
            float value = EveryBFloat16[bits];
            int sign = bits >> 15 << 7;
            int expected = sign | (float.IsNaN(value) ? 0x7F : float.IsInfinity(value) ? 0x7E : Nearest(magnitudes, Math.Abs((double)value)));
            Assert.True(expected == codes[bits], $"{set}: {value:R} (0x{bits:X4}) gave 0x{codes[bits]:X2}, nearest is 0x{expected:X2}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Every_bfloat16_becomes_the_nearest_binary16_value(InstructionSet set)
    {
        ushort[] codes = Narrow16(ElementType.F16, EveryBFloat16, set);
        for (int bits = 0; bits < codes.Length; bits++)
        {
            double expected = NearestEven.ToHalf(EveryBFloat16[bits]);
            double actual = NearestEven.Value(codes[bits], 5, 10, infinities: true);
            Assert.True(NearestEven.Same(expected, actual), $"{set}: {EveryBFloat16[bits]:R} gave {actual:R}, nearest is {expected:R}");
        }
    }

    [Theory]
    [InlineData(0f, 0x00)]
    [InlineData(-0f, 0x80)]
    [InlineData(448f, 0x7E)]
    [InlineData(448.0001f, 0x7E)]
    [InlineData(464f, 0x7E)]
    [InlineData(-1e9f, 0xFE)]
    [InlineData(float.PositiveInfinity, 0x7E)]
    [InlineData(float.NegativeInfinity, 0xFE)]
    [InlineData(float.MaxValue, 0x7E)]
    [InlineData(432f, 0x7E)] // tie of 416 (odd) and 448
    [InlineData(431.99997f, 0x7D)]
    [InlineData(1f / 1024, 0x00)] // half of the smallest: tie to zero
    [InlineData(1f / 1023, 0x01)]
    [InlineData(-1f / 1024, 0x80)]
    [InlineData(3f / 1024, 0x02)] // tie of codes 1 and 2
    [InlineData(7.5f / 512, 0x08)] // the carry into the smallest normal
    [InlineData(1f / 64, 0x08)]
    [InlineData(1.0625f, 0x38)] // tie of codes 38 and 39
    [InlineData(1.1875f, 0x3A)] // tie of codes 39 and 3A
    [InlineData(float.Epsilon, 0x00)]
    public void Chosen_values_give_the_e4m3_code_that_the_specification_gives(float value, int code)
    {
        Assert.Equal(code, Float8E4M3.FromSingle(value).Bits);
        foreach (InstructionSet set in Sets.All)
        {
            byte[] codes = new byte[1];
            ElementConversion.FromSingle(ElementType.F8E4M3, [value], codes, set);
            Assert.Equal(code, codes[0]);
        }
    }

    [Theory]
    [InlineData(0x7F80_0001u, 0x7F, 0x7FC0, 0x7E00)]
    [InlineData(0xFF80_0001u, 0xFF, 0xFFC0, 0xFE00)]
    [InlineData(0x7FFF_FFFFu, 0x7F, 0x7FFF, 0x7FFF)]
    [InlineData(0xFFFF_FFFFu, 0xFF, 0xFFFF, 0xFFFF)]
    [InlineData(0x7FC0_0000u, 0x7F, 0x7FC0, 0x7E00)]
    public void Nan_keeps_its_sign_and_becomes_quiet(uint bits, int e4m3, int bfloat16, int half)
    {
        float[] value = [BitConverter.UInt32BitsToSingle(bits)];
        foreach (InstructionSet set in Sets.All)
        {
            byte[] code = new byte[1];
            ElementConversion.FromSingle(ElementType.F8E4M3, value, code, set);
            Assert.Equal(e4m3, code[0]);
            Assert.Equal(bfloat16, Narrow16(ElementType.BF16, value, set)[0]);
            Assert.Equal(half, Narrow16(ElementType.F16, value, set)[0]);
        }
    }

    [Theory]
    [InlineData(0x3F80_8000u, 0x3F80)] // tie, stays even
    [InlineData(0x3F81_8000u, 0x3F82)] // tie, goes up to even
    [InlineData(0x3F80_8001u, 0x3F81)]
    [InlineData(0x7F7F_8000u, 0x7F80)] // rounds over the largest
    [InlineData(0x7F7F_7FFFu, 0x7F7F)]
    [InlineData(0x0000_8000u, 0x0000)] // half of the smallest subnormal
    [InlineData(0x0000_8001u, 0x0001)]
    [InlineData(0x007F_8000u, 0x0080)] // subnormal carries into the normals
    [InlineData(0x8000_0000u, 0x8000)]
    public void Binary32_rounds_to_bfloat16_by_the_nearest_even_rule(uint bits, int expected)
    {
        Assert.Equal(expected, BFloat16.FromSingle(BitConverter.UInt32BitsToSingle(bits)).Bits);
        Assert.Equal((uint)expected << 16, BitConverter.SingleToUInt32Bits(BFloat16.Round(BitConverter.UInt32BitsToSingle(bits))));
        foreach (InstructionSet set in Sets.All)
        {
            Assert.Equal(expected, Narrow16(ElementType.BF16, [BitConverter.UInt32BitsToSingle(bits)], set)[0]);
        }
    }

    private static int Nearest(double[] magnitudes, double value)
    {
        int best = 0;
        for (int code = 1; code < magnitudes.Length; code++)
        {
            double here = Math.Abs(magnitudes[code] - value), there = Math.Abs(magnitudes[best] - value);
            if (here < there || (here == there && code % 2 == 0))
            {
                best = code;
            }
        }

        return best;
    }

    private static ushort[] Narrow16(ElementType type, float[] values, InstructionSet set)
    {
        ushort[] codes = new ushort[values.Length];
        ElementConversion.FromSingle(type, values, MemoryMarshal.AsBytes(codes.AsSpan()), set);
        return codes;
    }
}

using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.ElementTypes;

public sealed class RandomBitsTests
{
    private const int Count = 1 << 20;

    public static TheoryData<ElementType> Narrowed => [ElementType.BF16, ElementType.F16, ElementType.F8E4M3];

    [Theory]
    [MemberData(nameof(Narrowed))]
    public void A_million_random_bit_patterns_narrow_to_the_same_bits_in_every_instruction_set(ElementType type)
    {
        int seed = Random.Shared.Next();
        float[] values = Values(seed);
        byte[] scalar = new byte[Count * type.Bytes()], codes = new byte[Count * type.Bytes()];
        ElementConversion.FromSingle(type, values, scalar, InstructionSet.Scalar);
        foreach (InstructionSet set in Sets.All)
        {
            Array.Clear(codes);
            ElementConversion.FromSingle(type, values, codes, set);
            int place = scalar.AsSpan().CommonPrefixLength(codes) / type.Bytes();
            Assert.True(place == Count, $"seed {seed}: {set} narrows {(place < Count ? values[place] : 0):R} to another {type} than scalar");
        }
    }

    [Theory]
    [MemberData(nameof(Narrowed))]
    public void A_million_random_bit_patterns_narrow_to_the_nearest_value(ElementType type)
    {
        int seed = Random.Shared.Next();
        float[] values = Values(seed);
        byte[] codes = new byte[Count * type.Bytes()];
        ElementConversion.FromSingle(type, values, codes);
        ReadOnlySpan<ushort> words = type.Bytes() == 2 ? MemoryMarshal.Cast<byte, ushort>(codes) : [];
        for (int i = 0; i < Count; i++)
        {
            (double expected, double actual) = type switch
            {
                ElementType.BF16 => (NearestEven.ToBFloat16(values[i]), NearestEven.Value(words[i], 8, 7, infinities: true)),
                ElementType.F16 => (NearestEven.ToHalf(values[i]), NearestEven.Value(words[i], 5, 10, infinities: true)),
                _ when float.IsNaN(values[i]) => (codes[i], float.IsNegative(values[i]) ? 0xFF : 0x7F),
                _ => (NearestEven.ToE4M3(values[i]), NearestEven.Value(codes[i], 4, 3, infinities: false)),
            };
            Assert.True(NearestEven.Same(expected, actual), $"seed {seed}: {values[i]:R} became {actual:R} in {type}, nearest is {expected:R}");
        }
    }

    [Fact]
    public void Every_length_up_to_seventy_converts_as_scalar_does_and_touches_nothing_behind_its_end()
    {
        int seed = Random.Shared.Next();
        float[] values = Values(seed)[..70];
        foreach (ElementType type in Narrowed.Select(row => row.Data))
        {
            byte[] all = new byte[70 * type.Bytes()];
            ElementConversion.FromSingle(type, values, all, InstructionSet.Scalar);
            float[] wide = new float[70];
            ElementConversion.ToSingle(type, all, wide, InstructionSet.Scalar);
            foreach (InstructionSet set in Sets.All)
            {
                for (int length = 0; length <= 70; length++)
                {
                    byte[] narrow = new byte[(length * type.Bytes()) + 8];
                    narrow.AsSpan().Fill(0xA5);
                    ElementConversion.FromSingle(type, values.AsSpan(0, length), narrow.AsSpan(0, length * type.Bytes()), set);
                    Assert.True(narrow.AsSpan(0, length * type.Bytes()).SequenceEqual(all.AsSpan(0, length * type.Bytes())), $"seed {seed}: {set} {type} length {length}");
                    Assert.Equal(-1, narrow.AsSpan(length * type.Bytes()).IndexOfAnyExcept((byte)0xA5));

                    float[] back = new float[length + 4];
                    back.AsSpan().Fill(-77);
                    ElementConversion.ToSingle(type, all.AsSpan(0, length * type.Bytes()), back.AsSpan(0, length), set);
                    Assert.True(Bits(back.AsSpan(0, length)).SequenceEqual(Bits(wide.AsSpan(0, length))), $"seed {seed}: {set} {type} length {length}, widening");
                    Assert.Equal(-1, back.AsSpan(length).IndexOfAnyExcept(-77f));
                }
            }
        }
    }

    private static ReadOnlySpan<uint> Bits(Span<float> values) => MemoryMarshal.Cast<float, uint>(values);

    /// <summary>A third any bits, a third of ordinary size, a third a few units around the midpoints of the narrow formats.</summary>
    private static float[] Values(int seed)
    {
        Random random = new(seed);
        float[] values = new float[Count];
        for (int i = 0; i < Count; i++)
        {
            uint any = (uint)random.NextInt64(1L << 32);
            uint ordinary = (any & 0x807F_FFFF) | ((uint)random.Next(127 - 26, 127 + 18) << 23);
            int kept = random.Next(3) switch { 0 => 20, 1 => 16, _ => 13 };
            uint midpoint = (ordinary & (uint.MaxValue << (kept - 1))) + (uint)random.Next(-2, 3);
            values[i] = BitConverter.UInt32BitsToSingle((i % 3) switch { 0 => any, 1 => ordinary, _ => midpoint });
        }

        uint[] special = [0, 0x8000_0000, 0x7F80_0000, 0xFF80_0000, 0x7F80_0001, 0xFFC1_2345, 1, 0x8000_0001, 0x007F_FFFF, 0x7F7F_FFFF];
        MemoryMarshal.Cast<uint, float>(special).CopyTo(values);
        return values;
    }
}

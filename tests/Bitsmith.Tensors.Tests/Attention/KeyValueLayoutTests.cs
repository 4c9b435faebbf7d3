using System.Runtime.InteropServices;
using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Attention;

public sealed class KeyValueLayoutTests
{
    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Keys_lie_by_group_channel_and_position_and_values_in_padded_rows(InstructionSet set) => Law.Holds(AttentionCase.Any, @case =>
    {
        (byte[] storedKeys, byte[] storedValues) = @case.Store(@case.Keys, @case.StoredValues, set);
        float[] keys = Wide(storedKeys, @case.Type), values = Wide(storedValues, @case.Type), key = @case.Rounded(@case.Keys), value = @case.Rounded(@case.StoredValues);
        int width = KeyValueLayout.ValueWidth(@case.HeadDim);
        for (int position = 0; position < @case.Positions; position++)
        {
            for (int i = 0; i < width; i++)
            {
                Assert.Equal(i < @case.HeadDim ? value[(position * @case.HeadDim) + i] : 0, values[(position * width) + i]);
                if (i < @case.HeadDim)
                {
                    Assert.Equal(key[(position * @case.HeadDim) + i], keys[(((position / 16 * @case.HeadDim) + i) * 16) + (position % 16)]);
                }
            }
        }
    }, runs: 30);

    [Fact]
    public void E4m3_keys_and_values_saturate_and_round_to_even_without_a_scale()
    {
        byte[] keys = new byte[16 * 5], values = new byte[16];
        KeyValueLayout.StoreKey(ElementType.F8E4M3, keys, 0, [1e6f, -1e6f, 1.0625f, 1f / 1024, float.NaN], Cpu.Default);
        KeyValueLayout.StoreValue(ElementType.F8E4M3, values, 0, [1e6f, -1e6f, 1.0625f, 1f / 1024, float.NaN], Cpu.Default);
        Assert.Equal([0x7E, 0xFE, 0x38, 0x00, 0x7F], [keys[0], keys[16], keys[32], keys[48], keys[64] & 0x7F]);
        Assert.Equal([0x7E, 0xFE, 0x38, 0x00, 0x7F], [values[0], values[1], values[2], values[3], values[4] & 0x7F]);
    }

    [Fact]
    public void The_first_position_of_a_group_clears_it()
    {
        byte[] keys = [.. Enumerable.Repeat((byte)0xFF, 2 * 16 * 3 * 4)];
        KeyValueLayout.StoreKey(ElementType.F32, keys, 16, [1, 2, 3], Cpu.Default);
        float[] stored = MemoryMarshal.Cast<byte, float>(keys).ToArray();
        Assert.All(stored[..48], value => Assert.True(float.IsNaN(value)));
        Assert.Equal([.. Enumerable.Range(1, 3).SelectMany(i => Enumerable.Repeat(0f, 15).Prepend(i))], stored[48..]);
    }

    private static float[] Wide(byte[] bytes, ElementType type)
    {
        float[] values = new float[bytes.Length / type.Bytes()];
        ElementConversion.ToSingle(type, bytes, values, InstructionSet.Scalar);
        return values;
    }
}

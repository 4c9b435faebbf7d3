using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class GgmlDecodeTests
{
    [Fact]
    public void Blocks_of_ggml_decode_to_its_values_bit_for_bit()
    {
        using SafetensorsFile golden = Fixture.OpenGguf("block-types");
        string[] names = golden.Stems(".deq");
        Assert.Equal(47, names.Length);
        Assert.All(names, name => Same(golden, name));
    }

    [Fact]
    public void Random_blocks_decode_to_the_values_of_the_gguf_package_bit_for_bit()
    {
        using SafetensorsFile golden = Fixture.OpenGguf("random-blocks");
        string[] names = golden.Stems(".deq");
        Assert.Equal(23, names.Length);
        Assert.All(names, name => Same(golden, name));
    }

    [Fact]
    public void F32_F16_and_BF16_decode_as_they_are_stored()
    {
        using SafetensorsFile golden = Fixture.OpenGguf("block-types");
        float[] input = golden.Singles("input.f32"), decoded = new float[input.Length];
        GgmlFormats.Of(GgmlType.F16).Decode(golden.Bytes("input.f16_raw"), decoded);
        Assert.Equal(input, decoded);
        GgmlFormats.Of(GgmlType.F32).Decode(golden.Bytes("input.f32"), decoded);
        Assert.Equal(input, decoded);

        byte[] encoded = new byte[2 * input.Length];
        GgmlFormats.Of(GgmlType.BF16).Encode(input, 512, [], encoded);
        Assert.Equal(golden.Bytes("input.bf16_raw"), encoded);
    }

    [Fact]
    public void Q8_K_blocks_are_those_of_the_reference_encoder()
    {
        using SafetensorsFile golden = Fixture.OpenGguf("block-types");
        byte[] expected = golden.Bytes("Q8_K.plain.raw"), encoded = new byte[expected.Length];
        GgmlFormats.Of(GgmlType.Q8_K).Encode(golden.Singles("input.f32"), 512, [], encoded);
        Assert.Equal(expected, encoded);
    }

    private static void Same(SafetensorsFile golden, string name)
    {
        GgmlFormat format = GgmlFormats.Of(Enum.Parse<GgmlType>(name.Split('.')[0]));
        float[] expected = golden.Singles(name + ".deq");
        foreach (InstructionSet set in Sets.All)
        {
            float[] decoded = new float[expected.Length];
            format.Decode(golden.Bytes(name + ".raw"), decoded, set);
            Assert.Equal(MemoryMarshal.Cast<float, uint>(expected).ToArray(), MemoryMarshal.Cast<float, uint>(decoded).ToArray());
        }
    }
}

using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

public sealed class Fp8ActivationsTests
{
    [Theory]
    [InlineData(128)]
    [InlineData(32)]
    public void Every_instruction_set_computes_with_the_values_that_the_library_computes_with(int group)
    {
        using SafetensorsFile golden = Fixture.Open("activations");
        using SafetensorsFile inputs = Fixture.Open("inputs");
        float[] x = MemoryMarshal.Cast<byte, float>(inputs.Bytes("act_8x256_f32")).ToArray();
        float[] expected = MemoryMarshal.Cast<byte, float>(golden.Bytes($"act_8x256_f32.fp8_group{group}.fake_quant")).ToArray();
        foreach (InstructionSet set in Cpu.Available)
        {
            float[] result = new float[x.Length];
            Fp8Activations.RoundTrip(x, group, result, set);
            Assert.Equal(expected, result);

            Fp8Activations.RoundTrip(x, group, x.AsSpan(), set);
            Assert.Equal(expected, x);
            x = MemoryMarshal.Cast<byte, float>(inputs.Bytes("act_8x256_f32")).ToArray();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(100)]
    public void Groups_that_do_not_divide_the_row_are_refused(int group) =>
        Assert.Throws<ArgumentException>(() => Fp8Activations.RoundTrip(new float[256], group, new float[256], InstructionSet.Scalar));
}

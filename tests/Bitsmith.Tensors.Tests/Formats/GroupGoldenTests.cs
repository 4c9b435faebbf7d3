using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

/// <summary>INT4 groups and NVFP4 against files that compressed-tensors wrote.</summary>
public sealed class GroupGoldenTests
{
    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    public static MatrixTheoryData<InstructionSet, string> EverySetAndFile => new(Sets.All, ["w4a16_g32", "w4a16_g64", "w4a16_g128", "nvfp4"]);

    [Theory]
    [MemberData(nameof(EverySetAndFile))]
    public void The_library_encoder_writes_the_bytes_of_compressed_tensors(InstructionSet set, string file)
    {
        using SafetensorsFile inputs = Fixture.Open("inputs");
        using SafetensorsFile golden = Fixture.Open(file);
        string[] names = golden.Stems(".weight_packed");
        Assert.True(names.Length is >= 5 and <= 7);
        foreach (string name in names)
        {
            GroupCase matrix = Of(inputs.Tensor(name), file);
            byte[] weights = inputs.Bytes(name);
            if (matrix.IsNvFp4)
            {
                Assert.Equal(MemoryMarshal.Read<float>(golden.Bytes(name + ".weight_global_scale")), matrix.GlobalScale(weights));
            }
            else
            {
                Assert.Equal([matrix.Matrix.Rows, matrix.Matrix.Columns], MemoryMarshal.Cast<byte, long>(golden.Bytes(name + ".weight_shape")).ToArray());
            }

            GroupEncoded encoded = matrix.Encode(weights, WeightEncoder.Library, set);
            Same(golden.Bytes(name + ".weight_scale"), encoded.Scales, $"{set}: scales of {name}");
            Same(golden.Bytes(name + ".weight_packed"), encoded.Packed, $"{set}: codes of {name}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Fused_projections_share_the_global_scale_of_their_largest_weight(InstructionSet set)
    {
        using SafetensorsFile inputs = Fixture.Open("inputs");
        using SafetensorsFile golden = Fixture.Open("nvfp4_fused_qkv");
        string[] names = golden.Stems(".weight_packed");
        Assert.Equal(3, names.Length);
        float largest = names.SelectMany(name => inputs.Singles(name)).Max(Math.Abs), globalScale = NvFp4Group.LibraryGlobalScale(ElementType.BF16, largest);
        foreach (string name in names)
        {
            Assert.Equal(MemoryMarshal.Read<float>(golden.Bytes(name + ".weight_global_scale")), globalScale);
            GroupEncoded encoded = Of(inputs.Tensor(name), "nvfp4").Encode(inputs.Bytes(name), WeightEncoder.Library, set, globalScale: globalScale);
            Same(golden.Bytes(name + ".weight_scale"), encoded.Scales, $"{set}: scales of {name}");
            Same(golden.Bytes(name + ".weight_packed"), encoded.Packed, $"{set}: codes of {name}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySetAndFile))]
    public void Decoding_gives_the_values_that_compressed_tensors_gives(InstructionSet set, string file)
    {
        using SafetensorsFile golden = Fixture.Open(file);
        using SafetensorsFile expected = Fixture.Open(file + ".dequant");
        string[] names = expected.Stems(".weight");
        Assert.NotEmpty(names);
        foreach (string name in names)
        {
            StoredTensor weight = expected.Tensor(name + ".weight");
            GroupCase matrix = Of(weight, file);
            GroupEncoded stored = new(golden.Bytes(name + ".weight_packed"), golden.Bytes(name + ".weight_scale"), [], [], []);
            float globalScale = matrix.IsNvFp4 ? MemoryMarshal.Read<float>(golden.Bytes(name + ".weight_global_scale")) : 1;
            byte[] bytes = new byte[weight.Bytes];
            ElementConversion.FromSingle(weight.Type, matrix.Decode(stored, globalScale, set), bytes, InstructionSet.Scalar);
            Same(expected.Bytes(name + ".weight"), bytes, $"{set}: {name}");
        }
    }

    [Theory]
    [InlineData("f32", "gs_calibrated")]
    [InlineData("f32", "gs_small")]
    [InlineData("bf16", "gs_calibrated")]
    [InlineData("bf16", "gs_small")]
    public void Every_instruction_set_computes_with_the_activations_that_the_library_computes_with(string type, string scale)
    {
        using SafetensorsFile golden = Fixture.Open("activations");
        using SafetensorsFile inputs = Fixture.Open("inputs");
        float[] expected = golden.Singles($"act_8x256_{type}.nvfp4.{scale}.fake_quant");
        float globalScale = golden.Singles($"act_8x256_{type}.nvfp4.{scale}.input_global_scale")[0];
        foreach (InstructionSet set in Sets.All)
        {
            float[] x = inputs.Singles($"act_8x256_{type}"), result = new float[x.Length];
            NvFp4Activations.RoundTrip(x, globalScale, result, type == "bf16", set);
            Assert.Equal(expected, result);

            NvFp4Activations.RoundTrip(x, globalScale, x.AsSpan(), type == "bf16", set);
            Assert.Equal(expected, x);
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Zero_points_of_hostile_weights_are_those_of_compressed_tensors_and_decode_to_its_values(InstructionSet set)
    {
        using SafetensorsFile golden = Fixture.Open("zero_points");
        string[] names = golden.Stems(".weight_packed");
        Assert.Equal(9, names.Length);
        foreach (string name in names)
        {
            StoredTensor weight = golden.Tensor(name + ".weight");
            GroupCase matrix = Of(weight, name) with { HasZeroPoints = true };
            Assert.NotEqual(0, matrix.Matrix.Rows % ZeroPoints.RowsInWord);
            GroupEncoded encoded = matrix.Encode(golden.Bytes(name + ".weight"), WeightEncoder.Library, set);
            Same(golden.Bytes(name + ".weight_scale"), encoded.Scales, $"{set}: scales of {name}");
            Same(golden.Bytes(name + ".weight_zero_point"), encoded.ZeroPoints, $"{set}: zero points of {name}");
            Same(golden.Bytes(name + ".weight_packed"), encoded.Packed, $"{set}: codes of {name}");
            byte[] decoded = new byte[weight.Bytes];
            ElementConversion.FromSingle(weight.Type, matrix.Decode(encoded, 1, set), decoded, InstructionSet.Scalar);
            Same(golden.Bytes(name + ".decoded"), decoded, $"{set}: values of {name}");
        }
    }

    private static GroupCase Of(StoredTensor weight, string file)
    {
        bool isNvFp4 = file == "nvfp4";
        int group = isNvFp4 ? 16 : int.Parse(file.AsSpan(file.LastIndexOf('g') + 1));
        return new GroupCase(new Matrix(0, (int)weight.Shape[0], (int)weight.Shape[1], new BlockShape(1, group), weight.Type, Content.Ordinary), isNvFp4);
    }

    private static void Same(byte[] expected, byte[] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        int place = expected.AsSpan().CommonPrefixLength(actual);
        Assert.True(place == expected.Length, $"{what}: byte {place} is {actual.ElementAtOrDefault(place):X2}, the library wrote {expected.ElementAtOrDefault(place):X2}");
    }
}

using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

public sealed class Fp8BlockGoldenTests
{
    private const string SmallModel = "tiny/small_glm4_fp8_block32/model";

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    public static MatrixTheoryData<InstructionSet, int> EverySetAndBlock => new(Sets.All, [128, 32]);

    [Theory]
    [MemberData(nameof(EverySetAndBlock))]
    public void The_library_encoder_writes_the_bytes_of_compressed_tensors(InstructionSet set, int side)
    {
        using SafetensorsFile inputs = Fixture.Open("inputs");
        using SafetensorsFile golden = Fixture.Open($"fp8_block{side}");
        string[] names = golden.Stems(".weight");
        Assert.Equal(7, names.Length);
        foreach (string name in names)
        {
            StoredTensor weight = inputs.Tensor(name), scale = golden.Tensor(name + ".weight_scale");
            Matrix matrix = new(0, (int)weight.Shape[0], (int)weight.Shape[1], new BlockShape(side, side), weight.Type, Content.Ordinary);
            Assert.Equal(weight.Type, scale.Type);
            Assert.Equal([matrix.Grid.Rows, matrix.Grid.Columns], scale.Shape);

            Encoded encoded = Encoded.From(matrix, inputs.Bytes(name), WeightEncoder.Library, set);
            Same(golden.Bytes(name + ".weight_scale"), encoded.Scales, $"{set}: scales of {name}");
            Same(golden.Bytes(name + ".weight"), encoded.Codes, $"{set}: codes of {name}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySetAndBlock))]
    public void Decoding_gives_the_values_that_compressed_tensors_gives(InstructionSet set, int side)
    {
        using SafetensorsFile golden = Fixture.Open($"fp8_block{side}");
        using SafetensorsFile expected = Fixture.Open($"fp8_block{side}.dequant");
        string[] names = expected.Stems(".weight");
        Assert.Equal(side == 128 ? 7 : 2, names.Length);
        foreach (string name in names)
        {
            StoredTensor weight = expected.Tensor(name + ".weight");
            int rows = (int)weight.Shape[0], columns = (int)weight.Shape[1];
            float[] decoded = new float[rows * columns];
            Fp8Block.Decode(
                weight.Type, golden.Bytes(name + ".weight"), golden.Bytes(name + ".weight_scale"), rows, columns, new BlockShape(side, side), decoded, set);
            byte[] bytes = new byte[weight.Bytes];
            ElementConversion.FromSingle(weight.Type, decoded, bytes, InstructionSet.Scalar);
            Same(expected.Bytes(name + ".weight"), bytes, $"{set}: {name}");
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void The_small_models_weights_decode_to_the_rounded_product_of_code_and_scale(InstructionSet set)
    {
        using SafetensorsFile model = Fixture.Open(SmallModel);
        string[] names = model.Stems(".weight_scale");
        Assert.Equal(6, names.Length);
        foreach (string name in names)
        {
            StoredTensor weight = model.Tensor(name + ".weight");
            int rows = (int)weight.Shape[0], columns = (int)weight.Shape[1];
            Matrix matrix = new(0, rows, columns, new BlockShape(32, 32), ElementType.BF16, Content.Ordinary);
            byte[] codes = model.Bytes(name + ".weight"), scaleBytes = model.Bytes(name + ".weight_scale");
            double[] scales = matrix.Values(scaleBytes);
            float[] decoded = new float[rows * columns];
            Fp8Block.Decode(ElementType.BF16, codes, scaleBytes, rows, columns, matrix.Block, decoded, set);
            for (int i = 0; i < decoded.Length; i++)
            {
                double scale = scales[(i / columns / 32 * matrix.Grid.Columns) + (i % columns / 32)];
                double expected = NearestEven.ToBFloat16(NearestEven.Value(codes[i], 4, 3, infinities: false) * scale);
                Assert.True(NearestEven.Same(expected, decoded[i]), $"{set}: {name} element {i} is {decoded[i]:R}, expected {expected:R}");
            }
        }
    }

    [Fact]
    public void Every_block_of_the_small_model_uses_the_largest_code_and_no_nan()
    {
        using SafetensorsFile model = Fixture.Open(SmallModel);
        foreach (string name in model.Stems(".weight_scale"))
        {
            StoredTensor weight = model.Tensor(name + ".weight");
            byte[] codes = model.Bytes(name + ".weight");
            int columns = (int)weight.Shape[1];
            var largest = codes.Select((code, i) => (Block: (i / columns / 32, i % columns / 32), Magnitude: code & 0x7F))
                .GroupBy(entry => entry.Block, entry => entry.Magnitude, (_, magnitudes) => magnitudes.Max());
            Assert.All(largest, code => Assert.Equal(0x7E, code));
        }
    }

    private static void Same(byte[] expected, byte[] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        int place = expected.AsSpan().CommonPrefixLength(actual);
        Assert.True(place == expected.Length, $"{what}: byte {place} is {actual.ElementAtOrDefault(place):X2}, the library wrote {expected.ElementAtOrDefault(place):X2}");
    }
}

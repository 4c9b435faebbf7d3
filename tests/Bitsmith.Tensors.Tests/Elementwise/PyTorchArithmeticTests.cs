using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Elementwise;

/// <summary>Operations on bfloat16 values against those of PyTorch on a CPU with BF16 dot products: not close, but the same bits, on every instruction set.</summary>
public sealed class PyTorchArithmeticTests
{
    private const float Epsilon = 1e-5f;

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    public static TheoryData<string, InstructionSet> Products => [.. Of("short", "odd", "long", "one")];

    public static TheoryData<string, InstructionSet> Widths => [.. Of("24", "100", "256", "1540")];

    public static TheoryData<string, InstructionSet> Attentions => [.. Of("causal", "full", "long")];

    /// <summary>The exact sums are zero, so that outputs are nothing but the rounding of the sums and any other order shows.</summary>
    [Theory]
    [MemberData(nameof(Products))]
    public void Products_add_up_in_the_order_of_PyTorchs(string name, InstructionSet set)
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        WeightMatrix matrix = Matrix(golden, $"linear.{name}.w");
        Assert.Equal(golden.Singles($"linear.{name}.plain"), Multiply(matrix, golden.Singles($"linear.{name}.x"), [], set));
        Assert.Equal(golden.Singles($"linear.{name}.biased"), Multiply(matrix, golden.Singles($"linear.{name}.x"), golden.Singles($"linear.{name}.bias"), set));
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Convolutions_add_up_place_by_place_without_a_break(InstructionSet set)
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        Assert.Equal(golden.Singles("convolution.out"), Multiply(Matrix(golden, "convolution.w", isConvolution: true), golden.Singles("convolution.x"), [], set));
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Norms_round_where_PyTorch_rounds(string width, InstructionSet set)
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        (float[] x, float[] weight, float[] bias) = (golden.Singles($"norm.{width}.x"), golden.Singles($"norm.{width}.w"), golden.Singles($"norm.{width}.bias"));
        float[] normed = new float[x.Length];
        ElementwiseKernels.RmsNormBFloat16(x, weight, Epsilon, normed, set);
        Assert.Equal(golden.Singles($"norm.{width}.rms"), normed);
        ElementwiseKernels.LayerNormBFloat16(x, weight, bias, Epsilon, normed);
        Assert.Equal(golden.Singles($"norm.{width}.layer"), normed);
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Gated_activations_and_sums_round_where_PyTorch_rounds(InstructionSet set)
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        (float[] gate, float[] up) = (golden.Singles("mlp.gate"), golden.Singles("mlp.up"));
        float[] gated = [.. gate], sum = [.. gate];
        ElementwiseKernels.SiluMultiplyBFloat16(gated, up, gated, set);
        Assert.Equal(golden.Singles("mlp.gated"), gated);
        ElementwiseKernels.AddBFloat16(sum, up, set);
        Assert.Equal(golden.Singles("mlp.sum"), sum);
    }

    [Fact]
    public void Functions_give_the_bits_of_PyTorchs()
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        float[] angles = golden.Singles("functions.angles");
        Assert.Equal(golden.Singles("functions.sin"), angles.Select(angle => VectorFunctions.SinCos(angle).Sine));
        Assert.Equal(golden.Singles("functions.cos"), angles.Select(angle => VectorFunctions.SinCos(angle).Cosine));
        Assert.Equal(golden.Singles("functions.exp"), golden.Singles("functions.powers").Select(VectorFunctions.Exponential));
    }

    [Theory]
    [InlineData(0f, 1f)]
    [InlineData(-103.9f, float.Epsilon)]
    [InlineData(-104.1f, 0f)]
    [InlineData(float.MinValue, 0f)]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(float.NaN, float.NaN)]
    public void The_exponential_reaches_both_ends_of_its_range(float power, float expected) => Assert.Equal(expected, VectorFunctions.Exponential(power));

    [Theory]
    [InlineData(1e6f)]
    [InlineData(-3f)]
    [InlineData(124.99f)]
    public void Sine_and_cosine_are_those_of_binary64_within_their_stated_error(float angle)
    {
        (float sine, float cosine) = VectorFunctions.SinCos(angle);
        Assert.InRange(sine - Math.Sin(angle), -2.1e-7, 2.1e-7);
        Assert.InRange(cosine - Math.Cos(angle), -2.1e-7, 2.1e-7);
    }

    [Theory]
    [InlineData("interleaved", true)]
    [InlineData("halves", false)]
    public void Rotations_round_products_in_decoders_and_only_results_in_the_vision_tower(string name, bool interleaved)
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        (float[] x, float[] cosines, float[] sines) = (golden.Singles("rotary.x"), golden.Singles("rotary.cos"), golden.Singles("rotary.sin"));
        int tokens = 6, half = cosines.Length / tokens, row = x.Length / tokens, headDim = 40;
        float[] tower = [.. x], decoder = [.. x], roundedCosines = [.. cosines.Select(BFloat16.Round)], roundedSines = [.. sines.Select(BFloat16.Round)];
        for (int token = 0; token < tokens; token++)
        {
            Range angles = (token * half)..((token + 1) * half);
            RotaryKernel.BFloat16(tower.AsSpan(token * row, row), headDim, cosines.AsSpan(angles), sines.AsSpan(angles), interleaved, roundProducts: false);
            RotaryKernel.BFloat16(decoder.AsSpan(token * row, row), headDim, roundedCosines.AsSpan(angles), roundedSines.AsSpan(angles), interleaved, roundProducts: true);
        }

        Assert.Equal(golden.Singles($"rotary.{name}.tower"), tower);
        Assert.Equal(golden.Singles($"rotary.{name}.decoder"), decoder);
    }

    [Theory]
    [MemberData(nameof(Attentions))]
    public void Attention_is_eager_attention_whatever_keys_and_values_are_stored_as(string name, InstructionSet set)
    {
        using SafetensorsFile golden = Fixture.OpenPyTorch();
        long[] shape = [.. golden.Tensor($"attention.{name}.q").Shape];
        (int tokens, int heads, int headDim) = ((int)shape[0], (int)shape[1], (int)shape[2]);
        (float[] queries, float[] keys, float[] values) = (golden.Singles($"attention.{name}.q"), golden.Singles($"attention.{name}.k"), golden.Singles($"attention.{name}.v"));
        int positions = keys.Length / headDim;
        bool causal = name != "full";
        AttentionShape asked = new(tokens, heads, headDim, heads * headDim, heads * headDim, causal ? positions - tokens + 1 : positions, causal);
        foreach (ElementType type in (ElementType[])[ElementType.F32, ElementType.BF16])
        {
            byte[] storedKeys = new byte[KeyValueLayout.KeyBytes(type, headDim, positions)], storedValues = new byte[KeyValueLayout.ValueBytes(type, headDim, positions)];
            for (int position = 0; position < positions; position++)
            {
                KeyValueLayout.StoreKey(type, storedKeys, position, keys.AsSpan(position * headDim, headDim), set);
                KeyValueLayout.StoreValue(type, storedValues, position, values.AsSpan(position * headDim, headDim), set);
            }

            float[] outputs = new float[queries.Length], scratch = new float[BFloat16Attention.ScratchFloats(positions, headDim)];
            scratch.AsSpan().Fill(float.NaN);
            BFloat16Attention.Attend(asked, queries, type, storedKeys, storedValues, outputs, scratch, set);
            Assert.Equal(golden.Singles($"attention.{name}.out"), outputs);
        }
    }

    /// <summary>Weights and biases of other types are rounded as a model is when it is loaded in bfloat16.</summary>
    [Theory]
    [MemberData(nameof(EverySet))]
    public void Weights_biases_and_norms_in_binary32_are_rounded_first(InstructionSet set)
    {
        Random random = new(4);
        float[] weights = Floats(random, 19 * 40), bias = Floats(random, 19), inputs = [.. Floats(random, 3 * 40).Select(BFloat16.Round)], norm = Floats(random, 40);
        float[] rounded = [.. weights.Select(BFloat16.Round)];
        Assert.Equal(
            Multiply(Dense(ElementType.F32, rounded, 19), inputs, [.. bias.Select(BFloat16.Round)], set), Multiply(Dense(ElementType.F32, weights, 19), inputs, bias, set));
        float[] expected = new float[inputs.Length], actual = new float[inputs.Length];
        ElementwiseKernels.RmsNormBFloat16(inputs, [.. norm.Select(BFloat16.Round)], Epsilon, expected, set);
        ElementwiseKernels.RmsNormBFloat16(inputs, norm, Epsilon, actual, set);
        Assert.Equal(expected, actual);
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Rounding_keeps_infinities_signs_and_nan(InstructionSet set)
    {
        float[] values = [0, -0f, 1, 1.00390625f, 1.01171875f, -1.00390635f, float.Epsilon, float.MaxValue, float.NegativeInfinity, float.NaN, .. new float[16]], rounded = [.. values];
        ElementwiseKernels.RoundToBFloat16(rounded, set);
        Assert.Equal(values.Select(value => BitConverter.SingleToInt32Bits(BFloat16.Round(value))), rounded.Select(BitConverter.SingleToInt32Bits));
    }

    private static IEnumerable<(string Name, InstructionSet Set)> Of(params string[] names) => names.SelectMany(name => Sets.All.Select(set => (name, set)));

    private static WeightMatrix Matrix(SafetensorsFile golden, string name, bool isConvolution = false)
    {
        IReadOnlyList<long> shape = golden.Tensor(name).Shape;
        return WeightMatrix.Dense(ElementType.BF16, (int)shape[0], (int)shape[1], TensorBytes.FromArray(golden.Bytes(name)), isConvolution);
    }

    private static WeightMatrix Dense(ElementType type, float[] values, int rows)
    {
        byte[] bytes = new byte[values.Length * type.Bytes()];
        ElementConversion.FromSingle(type, values, bytes);
        return WeightMatrix.Dense(type, rows, values.Length / rows, TensorBytes.FromArray(bytes));
    }

    private static float[] Multiply(WeightMatrix matrix, float[] inputs, float[] bias, InstructionSet set)
    {
        using MatrixInput input = new();
        int tokens = inputs.Length / matrix.Columns;
        input.Set(inputs, tokens);
        float[] outputs = new float[tokens * matrix.Rows];
        matrix.Multiply(input, bias, outputs, new ComputeOptions(2, set) { BFloat16Results = true });
        return outputs;
    }

    private static float[] Floats(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (4 * random.NextSingle()) - 2)];
}

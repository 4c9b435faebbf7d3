using System.Runtime.InteropServices;
using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Awq;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Modules;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Awq;

public sealed class AwqSearchTests
{
    private static readonly AwqOptions AllRows = new() { Rows = int.MaxValue };

    public static TheoryData<string> Models => ["tiny-glm", "tiny-glm4", "tiny-glm4v", "tiny-glm4-moe", "tiny-glm4-moe-qknorm", "tiny-glm4v-moe"];

    [Theory]
    [MemberData(nameof(Models))]
    public void Any_factors_leave_what_a_layer_computes_as_it_was(string name) => LayerProbe.Run(LayerProbe.Fixture(name), new StatisticsOptions(), (layer, _) =>
    {
        Random random = new(layer.Index);
        IEnumerable<AwqChoice> choices = AwqMappings.Of(layer.Layer, layer.Config.HeadDim)
            .Select(mapping => new AwqChoice(mapping, [.. Enumerable.Range(0, mapping.Channels).Select(_ => MathF.Pow(2, (4 * random.NextSingle()) - 2))], 1, 0, 0));
        AwqResult result = new([.. choices], _ => ElementType.F32);
        Recorder before = new(), after = new();
        layer.Run(before);
        layer.Run(after, weights: Folded(layer, result));
        Assert.All(layer.Layer.Linears, linear => Assert.True(result.Changes(linear)));
        Assert.All(before.Inputs, input => Assert.NotEqual(input.Value, after.Inputs[input.Key]));
        Assert.Equal(before.Routes, after.Routes);
        float most = before.Outputs.Max(MathF.Abs);
        Assert.All(before.Outputs.Zip(after.Outputs), pair => Assert.Equal(pair.First, pair.Second, 1e-5f * most));
    });

    [Theory]
    [InlineData("tiny-glm", "int4")]
    [InlineData("tiny-glm4", "nvfp4")]
    [InlineData("tiny-glm4v", "fp8")]
    [InlineData("tiny-glm4-moe", "nvfp4")]
    [InlineData("tiny-glm4v-moe", "int4")]
    public void The_loss_is_the_squared_error_of_the_Linears_outputs_and_never_above_that_without_factors(string name, string format)
    {
        int moved = 0;
        LayerProbe.Run(LayerProbe.Fixture(name), new StatisticsOptions(), (layer, statistics) =>
        {
            Recorder recorder = new();
            layer.Run(recorder, allExperts: true);
            AwqResult result = AwqSearch.Find(layer, statistics, _ => FormatOf(format), TypeOf, AllRows);
            Assert.Equal(AwqMappings.Of(layer.Layer, layer.Config.HeadDim).Select(mapping => mapping.Smooth), result.Choices.Select(choice => choice.Mapping.Smooth));
            foreach (AwqChoice choice in result.Choices)
            {
                double loss = Measured(choice.Mapping, [.. choice.Factors], FormatOf(format), recorder), identity = Measured(choice.Mapping, [.. choice.Factors.Select(_ => 1f)], FormatOf(format), recorder);
                Assert.Equal(loss, choice.Loss, 1e-5 * loss);
                Assert.Equal(identity, choice.IdentityLoss, 1e-5 * identity);
                Assert.True(choice.IsMoved ? choice.Loss < choice.IdentityLoss : choice.Loss == choice.IdentityLoss);
                moved += choice.IsMoved ? 1 : 0;
            }
        }, lengths: [9, 12]);
        Assert.True(moved > 0);
    }

    [Fact]
    public void What_a_norms_rounding_changes_is_made_good_by_its_readers() => LayerProbe.Run(LayerProbe.Fixture("tiny-glm4-moe"), new StatisticsOptions(), (layer, statistics) =>
    {
        AwqResult result = AwqSearch.Find(layer, statistics, _ => FormatOf("int4"), TypeOf);
        AwqChoice choice = result.Choices.First(choice => choice is { IsMoved: true, Mapping.Norm: not null });
        LayerVector norm = choice.Mapping.Norm!;
        float[] stored = result.Vectors[norm];
        ReadOnlySpan<float> factors = result.ColumnFactors(choice.Mapping.Balance[0]);
        for (int i = 0; i < stored.Length; i++)
        {
            Assert.Equal(BFloat16.Round(stored[i]), stored[i]);
            Assert.Equal(norm.Values[i], stored[i] * factors[i], 2e-7f * MathF.Abs(norm.Values[i]));
        }

        if (choice.Mapping.Router is { } router)
        {
            int width = stored.Length;
            float[] expected = [.. router.Values.Select((value, i) => BFloat16.Round(value * result.ColumnFactors(choice.Mapping.Balance[0])[i % width]))];
            Assert.Equal(expected, result.Vectors[router]);
        }
    });

    [Fact]
    public void Threads_leave_no_trace()
    {
        foreach (StatisticsOptions options in (StatisticsOptions[])[new(), new() { Weighting = TokenWeighting.Router }])
        {
            List<byte[]> found = [];
            foreach (int threads in (int[])[1, 3])
            {
                LayerProbe.Run(
                    LayerProbe.Fixture("tiny-glm4-moe"), options,
                    (layer, statistics) =>
                    {
                        AwqResult result = AwqSearch.Find(layer, statistics, _ => FormatOf("nvfp4"), TypeOf, new AwqOptions { Rows = 200, Points = 5, Encoder = threads == 1 ? WeightEncoder.Best : WeightEncoder.Library });
                        Assert.All(result.Choices, choice => Assert.True(choice.Loss <= choice.IdentityLoss));
                        found.Add(Bytes(AwqSearch.Find(layer, statistics, _ => FormatOf("int4"), TypeOf, new AwqOptions { Rows = 200, Points = 9 })));
                    },
                    threads);
            }

            Assert.Equal(found[0], found[2]);
            Assert.Equal(found[1], found[3]);
        }
    }

    [Fact]
    public void Only_mappings_with_a_quantized_reader_move_anything() => LayerProbe.Run(LayerProbe.Fixture("tiny-glm4"), new StatisticsOptions(), (layer, statistics) =>
    {
        AwqResult result = AwqSearch.Find(layer, statistics, linear => linear.Name.EndsWith("down_proj", StringComparison.Ordinal) ? FormatOf("int4") : null, TypeOf, AllRows);
        AwqChoice choice = Assert.Single(result.Choices);
        Linear[] changed = [.. layer.Layer.Linears.Where(result.Changes)];
        Assert.Equal(choice.IsMoved ? ["gate_up_proj", "down_proj"] : [], changed.Select(linear => linear.Name[(linear.Name.LastIndexOf('.') + 1)..]));
        Assert.Empty(result.Vectors);
    });

    [Fact]
    public void An_expert_without_tokens_stays_as_it_is() => LayerProbe.Run(
        LayerProbe.Fixture("tiny-glm4-moe"), new StatisticsOptions { AllExperts = false },
        (layer, statistics) =>
        {
            AwqResult result = AwqSearch.Find(layer, statistics, _ => FormatOf("int4"), TypeOf, AllRows);
            Linear[] unseen = [.. layer.Layer.Linears.Where(linear => statistics.Of(linear).Tokens == 0 && linear.Name.EndsWith("down_proj", StringComparison.Ordinal))];
            Assert.Equal(layer.Index == 1 ? 6 : 0, unseen.Length);
            Assert.All(unseen, linear => Assert.False(result.Changes(linear)));
            Assert.All(result.Choices, choice => Assert.All(choice.Factors, factor => Assert.True(factor > 0 && float.IsFinite(factor))));
        },
        lengths: [1]);

    [Theory]
    [InlineData("int4")]
    [InlineData("nvfp4")]
    public void Dead_channels_columns_of_zeros_and_huge_outliers_keep_factors_finite_and_losses_no_worse(string format)
    {
        using PatchedModel model = new("tiny-glm4");
        model.Change("model.layers.0.input_layernorm.weight", (i, value) => i % 5 == 0 ? 0 : i == 7 ? 1e4f : value);
        model.Change("model.layers.0.self_attn.q_proj.weight", (i, value) => i % 128 < 3 ? 0 : value);
        model.Change("model.layers.0.self_attn.k_proj.weight", (i, value) => i % 128 < 3 ? 0 : value);
        model.Change("model.layers.0.self_attn.v_proj.weight", (i, value) => i % 128 < 3 ? 0 : i % 128 == 100 ? value * 1e15f : value);
        model.Change("model.layers.1.mlp.down_proj.weight", (_, _) => 0);
        model.Change("model.layers.1.mlp.gate_up_proj.weight", (i, value) => i / 128 == 300 ? 0 : value);
        LayerProbe.Run(model.Folder, new StatisticsOptions(), (layer, statistics) =>
        {
            AwqResult result = AwqSearch.Find(layer, statistics, _ => FormatOf(format), TypeOf, AllRows);
            Assert.All(result.Choices, choice => Assert.True(choice.Loss <= choice.IdentityLoss && double.IsFinite(choice.Loss)));
            Assert.All(result.Choices, choice => Assert.All(choice.Factors, factor => Assert.True(factor > 0 && float.IsFinite(factor))));
            Assert.All(result.Vectors, vector => Assert.All(vector.Value, value => Assert.True(float.IsFinite(value))));
            Assert.All(result.Choices[0].Factors.Where((_, i) => layer.Index == 0 && i % 5 == 0), factor => Assert.Equal(1, factor));
        });
    }

    [Fact]
    public void A_weight_that_is_no_number_is_told_of()
    {
        using PatchedModel model = new("tiny-glm4");
        model.Change("model.layers.2.mlp.down_proj.weight", (i, value) => i == 300 ? float.NaN : value);
        CheckpointException problem = Assert.Throws<CheckpointException>(() => LayerProbe.Run(
            model.Folder, new StatisticsOptions(), (layer, statistics) => AwqSearch.Find(layer, statistics, _ => FormatOf("int4"), TypeOf)));
        Assert.Contains("model.layers.2.mlp.down_proj: the weight at row 1, column 44 is NaN", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new AwqOptions { Points = 2 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new AwqOptions { Rows = 0 });
    }

    private static ElementType TypeOf(string tensor) => tensor.EndsWith("correction_bias", StringComparison.Ordinal) ? ElementType.F32 : ElementType.BF16;

    private static StorageFormat FormatOf(string name) => name switch { "int4" => new Int4GroupFormat(32), "nvfp4" => new NvFp4Format(false), _ => new Fp8BlockFormat(new BlockShape(24, 40)) };

    private static byte[] Bytes(AwqResult result) => [.. result.Choices.SelectMany(choice =>
        (byte[])[.. BitConverter.GetBytes(choice.Point), .. BitConverter.GetBytes(choice.Loss), .. choice.Factors.SelectMany(factor => BitConverter.GetBytes(factor))])];

    /// <summary>A layer's weights with factors, not rounded.</summary>
    private static LayerWeights Folded(CalibrationLayer layer, AwqResult result) => new(
        layer.Layer.Linears.Where(result.Changes).ToDictionary(linear => linear, linear =>
        {
            float[] values = Weights(linear);
            int middle = linear.Weight.Rows / 3;
            result.Apply(linear, 0, values.AsSpan(0, middle * linear.Weight.Columns));
            result.Apply(linear, middle, values.AsSpan(middle * linear.Weight.Columns));
            return WeightMatrix.Dense(ElementType.F32, linear.Weight.Rows, linear.Weight.Columns, TensorBytes.FromArray(MemoryMarshal.AsBytes(values.AsSpan()).ToArray()));
        }),
        result.Vectors);

    private static float[] Weights(Linear linear)
    {
        float[] values = new float[linear.Weight.Rows * linear.Weight.Columns];
        linear.Weight.Read(0, linear.Weight.Rows, values, InstructionSet.Scalar);
        return values;
    }

    /// <summary>The squared error of what the Linears that read make of their inputs, in BF16, token by token.</summary>
    private static double Measured(AwqMapping mapping, float[] channels, StorageFormat format, Recorder recorder)
    {
        float[] factors = mapping.ToColumns(channels);
        Dictionary<Linear, float[]> scaled = mapping.Balance.ToDictionary(linear => linear, linear => Weights(linear).Select((weight, i) => BFloat16.Round(weight * factors[i % factors.Length])).ToArray());
        double error = 0;
        foreach (Linear linear in mapping.Balance)
        {
            (int rows, int columns) = (linear.Weight.Rows, linear.Weight.Columns);
            float largest = mapping.Balance.Where(other => Fusion.KeyOf(other.Name) == Fusion.KeyOf(linear.Name)).Max(other => scaled[other].Max(MathF.Abs));
            float[] original = Weights(linear), values = Rounded(scaled[linear], rows, columns, format, largest);
            double[] errors = [.. values.Select((value, i) => (double)((value / factors[i % columns]) - original[i]))];
            foreach (float[] input in recorder.Inputs[linear.Name].Select(BFloat16.Round).Chunk(columns))
            {
                for (int row = 0; row < rows; row++)
                {
                    double product = 0;
                    for (int column = 0; column < columns; column++)
                    {
                        product += errors[(row * columns) + column] * input[column];
                    }

                    error += product * product;
                }
            }
        }

        return error;
    }

    private static float[] Rounded(float[] weights, int rows, int columns, StorageFormat format, float largest)
    {
        byte[] bytes = [.. weights.SelectMany(weight => BitConverter.GetBytes(BFloat16.FromSingle(weight).Bits))];
        float[] values = new float[weights.Length];
        QuantizationError[] errors = new QuantizationError[rows];
        byte[] packed = new byte[weights.Length / 2];
        switch (format)
        {
            case Int4GroupFormat:
            {
                byte[] scales = new byte[weights.Length / 32 * 2];
                Int4Group.Encode(WeightEncoder.Library, ElementType.BF16, bytes, 32, ColumnWeights.Of([], columns), packed, scales, errors, []);
                Int4Group.Decode(ElementType.BF16, packed, scales, 32, values);
                break;
            }

            case NvFp4Format:
            {
                byte[] scales = new byte[weights.Length / 16];
                float globalScale = NvFp4Group.LibraryGlobalScale(ElementType.BF16, largest);
                NvFp4Group.Encode(WeightEncoder.Library, ElementType.BF16, bytes, globalScale, ColumnWeights.Of([], columns), packed, scales, errors, []);
                NvFp4Group.Decode(packed, scales, globalScale, values);
                break;
            }

            default:
            {
                (int gridRows, int gridColumns) = format.Block.GridOf(rows, columns);
                byte[] codes = new byte[weights.Length], scales = new byte[gridRows * gridColumns * 2];
                Fp8Block.Encode(WeightEncoder.Library, ElementType.BF16, bytes, rows, columns, format.Block, codes, scales, errors.AsSpan(0, gridRows), []);
                Fp8Block.Decode(ElementType.BF16, codes, scales, rows, columns, format.Block, values);
                break;
            }
        }

        return values;
    }

    /// <summary>A copy of a model whose BF16 weights a test changes.</summary>
    private sealed class PatchedModel : IDisposable
    {
        private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-patched-");

        public PatchedModel(string name)
        {
            foreach (string file in Directory.EnumerateFiles(LayerProbe.Fixture(name)))
            {
                File.Copy(file, Path.Combine(Folder, Path.GetFileName(file)));
            }
        }

        public string Folder => root.FullName;

        public void Change(string tensor, Func<int, float, float> change)
        {
            string path = Path.Combine(Folder, "model.safetensors");
            byte[] file = File.ReadAllBytes(path);
            int header = (int)BitConverter.ToInt64(file);
            using JsonDocument json = JsonDocument.Parse(file.AsMemory(8, header));
            int[] range = [.. json.RootElement.GetProperty(tensor).GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt32() + 8 + header)];
            Span<ushort> values = MemoryMarshal.Cast<byte, ushort>(file.AsSpan(range[0]..range[1]));
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = BFloat16.FromSingle(change(i, new BFloat16(values[i]).ToSingle())).Bits;
            }

            File.WriteAllBytes(path, file);
        }

        public void Dispose() => root.Delete(recursive: true);
    }
}

using System.Text.Json;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration.Awq;
using Bitsmith.Quantization.Formats;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Awq;

public sealed class AwqGridTests
{
    private const int Rows = 48, Columns = 256, Tokens = 96, HeadDim = 32, Points = 20;

    // Of what is known of the yardstick's points, those whose factors are.
    private static readonly int[] Given = [0, 1, 10, 19];

    /// <summary>tests/Fixtures/awq/points.py wrote them.</summary>
    [Fact]
    public void Factors_and_losses_are_those_of_the_yardstick_in_torch_and_no_worse_point_is_chosen()
    {
        float[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(i => Weight(i / Columns, i % Columns))], inputs = [.. Enumerable.Range(0, Tokens * Columns).Select(i => Input(i / Columns, i % Columns))];
        byte[] bytes = [.. weights.SelectMany(weight => BitConverter.GetBytes(BFloat16.FromSingle(weight).Bits))];
        Linear down = new("model.layers.0.mlp.down_proj", WeightMatrix.Dense(ElementType.BF16, Rows, Columns, TensorBytes.FromArray(bytes)), []);
        double[] magnitudes = [.. Enumerable.Range(0, Columns).Select(column => Enumerable.Range(0, Tokens).Sum(token => (double)MathF.Abs(inputs[(token * Columns) + column])) / Tokens)];
        using SecondMoments moments = new(Columns);
        moments.Add(inputs, default, ComputeOptions.Default);
        moments.Complete(ComputeOptions.Default);
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "awq", "points.json")));
        Assert.Equal(8, golden.RootElement.GetArrayLength());
        foreach (JsonElement expected in golden.RootElement.EnumerateArray())
        {
            string scheme = expected.GetProperty("scheme").GetString()!;
            StorageFormat format = scheme == "nvfp4" ? new NvFp4Format(false) : new Int4GroupFormat(int.Parse(scheme["w4a16-g".Length..], null));
            AwqMapping mapping = new() { Projection = down, Balance = [down], Repeat = expected.GetProperty("repeat").GetInt32(), HeadDim = HeadDim };
            WeightProfile profile = new(Columns);
            profile.Add(down, format.Block.Columns, "down", ComputeOptions.Default);
            float[][] own = [.. AwqGrid.Of(mapping.OverHeads(magnitudes), mapping.OverHeads(profile.Means), Points)];
            double[] wanted = [.. expected.GetProperty("losses").EnumerateArray().Select(value => value.GetDouble())];
            float[][] given = [own[0], .. expected.GetProperty("factors").EnumerateArray().Select(point => point.EnumerateArray().Select(factor => factor.GetSingle()).ToArray())];
            foreach ((int i, int point) in Given.Index())
            {
                // The yardstick computes relative weights in BF16.
                Assert.All(given[i].Zip(own[point]), pair => Assert.Equal(pair.First, pair.Second, 0.002f * pair.First));
            }

            // It rounds what its schemes gave to BF16 once more.
            Assert.All(Given.Zip(Losses(given)), pair => Assert.Equal(wanted[pair.First], pair.Second, 0.01 * wanted[pair.First]));
            double[] losses = Losses(own);
            Assert.InRange(wanted[Array.IndexOf(losses, losses.Min())], 0, 1.05 * wanted.Min());

            double[] Losses(float[][] points)
            {
                float[][] columns = [.. points.Select(factors => mapping.ToColumns(factors))];
                float[] scales = [.. columns.Select(factors => NvFp4Group.LibraryGlobalScale(ElementType.BF16, weights.Select((weight, i) => BFloat16.Round(MathF.Abs(weight * factors[i % Columns]))).Max()))];
                using AwqLoss loss = new(new AwqOptions { Rows = int.MaxValue }, ComputeOptions.Default);
                return loss.Measure([new WeighedLinear(down, format, ElementType.BF16, moments, scales, [.. columns.Select(_ => ColumnWeights.Of([], Columns))])], columns);
            }
        }
    }

    [Fact]
    public void Channels_without_input_and_factors_that_are_no_numbers_become_one()
    {
        float[][] points = [.. AwqGrid.Of([0, 1, 4, 1e-300, 1e300], [0.5, 0, 0.25, 1, 1], 5)];
        Assert.All(points[0], factor => Assert.Equal(1, factor));
        Assert.All(points, point => Assert.Equal(1, point[0]));
        Assert.All(points, point => Assert.All(point, factor => Assert.True(factor > 0 && float.IsFinite(factor))));
        Assert.All(AwqGrid.Of([0, 0], [1, 1], 3), point => Assert.Equal([1, 1], point));

        // Of the first point the weights alone decide, of the last the inputs; the largest times the smallest is one.
        float[][] plain = [.. AwqGrid.Of([1, 4], [1, 0.25], 4)];
        Assert.Equal(4, plain[1][1] / plain[1][0], 0.01);
        Assert.Equal(4, plain[3][1] / plain[3][0], 0.01);
        Assert.All(plain, point => Assert.Equal(1, point[0] * point[1], 1e-6));
    }

    private static float Weight(int row, int column) => ((((row * 7919) + (column * 104729) + (row * column * 31)) % 255) - 127) / 128f * MathF.Pow(2, (column * 13 % 5) - 4);

    private static float Input(int token, int column) => ((((token * 6007) + (column * 7307) + (token * column * 17)) % 61) - 30) / 64f * MathF.Pow(2, (column * 7 % 9) - 4);
}

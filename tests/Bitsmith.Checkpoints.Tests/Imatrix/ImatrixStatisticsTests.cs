using Bitsmith.Checkpoints.Imatrix;

namespace Bitsmith.Checkpoints.Tests.Imatrix;

public sealed class ImatrixStatisticsTests
{
    [Fact]
    public void Layers_have_the_numbers_that_llama_imatrix_prints()
    {
        ImatrixStatistics statistics = ImatrixStatistics.Of(ImportanceMatrix.Load(ImatrixSamples.Experts));
        string[] printed = [.. statistics.Layers.Select(layer => FormattableString.Invariant(
            $"{layer.Layer} {layer.SumSquares:F4} {layer.Change?.Gain ?? 0:F2} {layer.Change?.Distance ?? 0:F4} {layer.Change?.Cosine ?? 0:F4} {layer.Change?.Pearson ?? 0:F4} {layer.Change?.Covariance ?? 0:F4}"))];
        Assert.Equal(["0 663.6829 0.00 0.0000 0.0000 0.0000 0.0000", "1 2297.3047 0.98 5.7678 0.3272 0.3256 0.0090", "2 2007.9692 0.99 22.8940 0.4839 0.4838 0.0868"], printed);
    }

    [Fact]
    public void A_file_without_plain_sums_is_described_by_its_squares()
    {
        ImatrixStatistics statistics = ImatrixStatistics.Of(ImportanceMatrix.Load(ImatrixSamples.Of("tiny-glm4.imatrix.dat")));
        TensorStatistics up = statistics.Tensors["blk.1.ffn_up.weight"];
        Assert.True(up.OfSquares);
        Assert.Equal(
            "0.9996 0.3875 1.1463 1.9099 98.74 255.8969 1.00 0.5663 0.0837",
            FormattableString.Invariant($"{up.Mean:F4} {up.StandardDeviation:F4} {up.Skewness:F4} {up.Kurtosis:F4} {up.Entropy:F2} {up.SumSquares:F4} {up.Change!.Gain:F2} {up.Change.Pearson:F4} {up.Change.Covariance:F4}"));
        Assert.Equal(0.7403, statistics.Layers[1].Change!.Cosine, 4);
    }

    [Fact]
    public void A_tensor_that_the_layer_before_lacks_is_compared_with_the_nearest_layer_that_has_it()
    {
        ImatrixStatistics statistics = ImatrixStatistics.Of(ImatrixSamples.Random(new Random(1)));
        Assert.NotNull(statistics.Tensors["blk.2.ffn_up_exps.weight"].Change);
        Assert.Null(statistics.Tensors["blk.0.ffn_up_exps.weight"].Change);
    }

    [Fact]
    public void Inputs_that_are_all_zero_have_statistics_without_division_by_zero()
    {
        ImportanceMatrix matrix = new([KeyValuePair.Create("blk.0.a.weight", new ImatrixEntry([0, 0], [0, 0], [4])), KeyValuePair.Create("blk.1.a.weight", new ImatrixEntry([0, 0], [0, 0], [4]))]) { ChunkSize = 4 };
        TensorStatistics second = ImatrixStatistics.Of(matrix).Tensors["blk.1.a.weight"];
        Assert.Equal((0, 0f, 0f, 0f, 0f), (second.SumSquares, second.Mean, second.StandardDeviation, second.Skewness, second.Entropy));
        Assert.Equal((1f, 0f, float.NaN, float.NaN), (second.Change!.Gain, second.Change.Distance, second.Change.Cosine, second.Change.Pearson));
    }

    [Fact]
    public void A_tensor_that_has_seen_nothing_has_no_statistics()
    {
        ImportanceMatrix matrix = new([KeyValuePair.Create("blk.0.a.weight", new ImatrixEntry([0, 0], [0, 0], [0]))]) { ChunkSize = 4 };
        TensorStatistics none = ImatrixStatistics.Of(matrix).Tensors["blk.0.a.weight"];
        Assert.Equal(0, none.Elements);
        Assert.Equal(12, none.Row().Length);
    }
}

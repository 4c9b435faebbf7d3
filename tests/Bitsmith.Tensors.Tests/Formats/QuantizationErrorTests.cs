using Bitsmith.Tensors.Formats;

namespace Bitsmith.Tensors.Tests.Formats;

public sealed class QuantizationErrorTests
{
    [Fact]
    public void Parts_add_up_and_the_larger_maximum_stays()
    {
        QuantizationError left = new(1, 100, 0.5, 10), right = new(3, 300, 0.25, 30);
        Assert.Equal(new QuantizationError(4, 400, 0.5, 40), left + right);
        Assert.Equal(left + right, QuantizationError.Add(right, left));
        Assert.Equal(left, left + default(QuantizationError));
    }

    [Fact]
    public void Ratios_come_from_the_sums()
    {
        QuantizationError error = new(1, 100, 0.5, 10);
        Assert.Equal(0.1, error.RelativeRmse, 12);
        Assert.Equal(20, error.SignalToNoiseDecibels, 12);
    }

    [Fact]
    public void Where_nothing_was_lost_the_ratios_say_so()
    {
        QuantizationError none = new(0, 0, 0, 10);
        Assert.Equal(0, none.RelativeRmse);
        Assert.Equal(double.PositiveInfinity, none.SignalToNoiseDecibels);
    }

    [Theory]
    [InlineData(128, 128, 1, 1)]
    [InlineData(129, 128, 2, 1)]
    [InlineData(1, 1, 1, 1)]
    [InlineData(300, 257, 3, 3)]
    public void A_grid_covers_the_matrix_with_no_block_to_spare(int rows, int columns, int blockRows, int blockColumns)
    {
        Assert.Equal((blockRows, blockColumns), new BlockShape(128, 128).GridOf(rows, columns));
        Assert.Equal("128x128", new BlockShape(128, 128).ToString());
    }
}

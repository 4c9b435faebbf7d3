using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Checkpoints.Tests.Gguf;

public sealed class GgufTensorTypeTests
{
    [Fact]
    public void Every_type_that_ggml_writes_to_files_is_known() =>
        Assert.Equal(
            [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 34, 35, 39, 40, 41, 42],
            GgufTensorType.All.Select(type => type.Number).Order());

    [Theory]
    [InlineData(4)] // removed from ggml
    [InlineData(9)] // Q8_1 and Q8_K: for activations
    [InlineData(15)]
    [InlineData(43)]
    [InlineData(-1)]
    [InlineData(1L << 32)]
    public void Types_that_files_never_hold_are_unknown(long number) => Assert.Null(GgufTensorType.Find(number));

    [Fact]
    public void Plain_types_have_blocks_of_one()
    {
        Assert.Equal((1, 4), (GgufTensorType.F32.BlockValues, GgufTensorType.F32.BlockBytes));
        Assert.Equal((1, 2), (GgufTensorType.F16.BlockValues, GgufTensorType.F16.BlockBytes));
        Assert.Equal(new GgufTensorType(30, "BF16", 1, 2), GgufTensorType.BF16);
        Assert.Equal(new GgufTensorType(12, "Q4_K", 256, 144), GgufTensorType.Find(12));
    }
}

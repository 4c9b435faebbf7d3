using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Tests.Planning;

/// <summary>What the library itself did with the weights of the golden files (their manifest records it).</summary>
public sealed class ClientLimitsTests
{
    [Theory]
    [InlineData(128, 256, 128, true)] // plain: reads well
    [InlineData(128, 512, 128, true)] // edge
    [InlineData(64, 256, 128, true)] // one scale row: taken as groups, right by luck
    [InlineData(256, 128, 128, false)] // narrow: raises
    [InlineData(200, 256, 128, false)] // rows200: silently wrong
    [InlineData(64, 320, 128, false)] // cols320: raises
    [InlineData(72, 160, 128, false)] // odd: silently wrong
    [InlineData(200, 256, 32, false)] // rows200 at 32: raises
    [InlineData(72, 160, 32, false)] // odd at 32: silently wrong
    [InlineData(64, 320, 32, true)]
    [InlineData(10944, 4096, 128, false)] // the Air's dense layer
    [InlineData(4096, 13696, 128, true)]
    [InlineData(128, 128, 128, true)] // one block both ways
    public void The_librarys_guess_of_the_block_is_predicted(long rows, long columns, int side, bool readable) =>
        Assert.Equal(readable, ClientLimits.WhyLayoutIsMisguessed(rows, columns, new BlockShape(side, side)) is null);
}

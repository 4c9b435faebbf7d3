using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class GgmlRefusalTests
{
    private static readonly GgmlFormat Format = GgmlFormats.Of(GgmlType.Q4_K);

    public static TheoryData<GgmlType> Types => [.. Enum.GetValues<GgmlType>()];

    [Theory]
    [MemberData(nameof(Types))]
    public void A_weight_that_is_not_finite_is_named_with_its_place(GgmlType type)
    {
        GgmlFormat format = GgmlFormats.Of(type);
        foreach (float value in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            float[] weights = new float[3 * 256];
            weights[(2 * 256) + 77] = value;
            var thrown = Assert.Throws<NonFiniteWeightException>(() => format.Encode(weights, 256, [], new byte[format.RowBytes(3 * 256)]));
            Assert.Equal((2, 77, value), (thrown.Row, thrown.Column, thrown.Value));
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(-1e-3f)]
    public void An_importance_that_is_not_finite_or_negative_is_named_with_its_column(float value)
    {
        float[] importance = new float[256];
        importance[9] = value;
        var thrown = Assert.Throws<ArgumentException>(() => Format.Encode(new float[256], 256, importance, new byte[144]));
        Assert.Contains("column 9", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_that_do_not_fit_say_what_was_expected()
    {
        Says("255 weights are no whole number of Q4_K blocks, which hold 256 each", () => Format.RowBytes(255));
        Says("300 weights are no whole number of Q4_K blocks", () => Format.Encode(new float[300], 300, [], new byte[144]));
        Says("256 weights are no whole number of rows of 512 columns", () => Format.Encode(new float[256], 512, [], new byte[144]));
        Says("no whole number of rows of 0 columns", () => Format.Encode([], 0, [], []));
        Says("256 weights take 144 bytes as Q4_K, not 143", () => Format.Encode(new float[256], 256, [], new byte[143]));
        Says("There are 255 importance factors for 256 columns", () => Format.Encode(new float[256], 256, new float[255], new byte[144]));
        Says("256 weights take 144 bytes as Q4_K, not 145", () => Format.Decode(new byte[145], new float[256]));
        Says("32 weights are no whole number of Q4_K blocks", () => Format.Decode(new byte[18], new float[32]));
    }

    private static void Says(string text, Action act) => Assert.Contains(text, Assert.Throws<ArgumentException>(act).Message, StringComparison.Ordinal);
}

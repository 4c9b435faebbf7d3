using System.Text.Json;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class GgmlFormatsTests
{
    [Fact]
    public void Numbers_names_and_sizes_are_those_of_ggml()
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllText(Fixture.GgufPath("block-types.json")));
        var expected = golden.RootElement.EnumerateObject().Where(type => type.Name != "Q8_1").Select(type => (
            type.Value.GetProperty("type_id").GetInt32(),
            type.Name,
            type.Value.GetProperty("block").GetInt32(),
            type.Value.GetProperty("bytes").GetInt32()));
        var floats = new[] { (0, "F32", 1, 4), (1, "F16", 1, 2), (30, "BF16", 1, 2) };
        Assert.Equal(expected.Concat(floats).Order(), GgmlFormats.All.Select(format => ((int)format.Type, format.Name, format.BlockValues, format.BlockBytes)).Order());
        Assert.All(golden.RootElement.EnumerateObject().Where(type => type.Name != "Q8_1"), type =>
            Assert.Equal(type.Value.GetProperty("bpw").GetDouble(), GgmlFormats.Of(Enum.Parse<GgmlType>(type.Name)).BitsPerWeight));
    }

    [Fact]
    public void A_format_is_found_by_type_number_and_name()
    {
        foreach (GgmlType type in Enum.GetValues<GgmlType>())
        {
            GgmlFormat format = GgmlFormats.Of(type);
            Assert.Equal(type, format.Type);
            Assert.True(GgmlFormats.TryGet((int)type, out GgmlFormat? byNumber));
            Assert.Same(format, byNumber);
            Assert.True(GgmlFormats.TryParse(format.Name.ToLowerInvariant(), out GgmlFormat? byName));
            Assert.Same(format, byName);
        }
    }

    [Theory]
    [InlineData(4)]
    [InlineData(-1)]
    [InlineData(1000)]
    public void A_number_that_is_no_type_is_refused(int number)
    {
        Assert.False(GgmlFormats.TryGet(number, out _));
        Assert.Contains("Q4_K", Assert.Throws<ArgumentOutOfRangeException>(() => GgmlFormats.Of((GgmlType)number)).Message, StringComparison.Ordinal);
    }
}

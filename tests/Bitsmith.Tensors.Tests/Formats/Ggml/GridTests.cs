using System.Text.Json;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class GridTests
{
    private static readonly Dictionary<string, Grid> Grids = new()
    {
        ["iq2xxs_grid"] = Grid.Iq2Xxs,
        ["iq2xs_grid"] = Grid.Iq2Xs,
        ["iq2s_grid"] = Grid.Iq2S,
        ["iq3xxs_grid"] = Grid.Iq3Xxs,
        ["iq3s_grid"] = Grid.Iq3S,
        ["iq1s_grid"] = Grid.Iq1,
    };

    public static TheoryData<string> Names => [.. Grids.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_point_is_that_of_the_format(string name)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Fixture.GgufPath("iq-grids.json")));
        byte[] expected = document.RootElement.GetProperty("tables").GetProperty(name).GetProperty("raw_le_base64").GetBytesFromBase64();
        Grid grid = Grids[name];
        Assert.Equal(expected, Enumerable.Range(0, grid.Count).SelectMany(i => grid.Point(i).ToArray().Select(value => (byte)(sbyte)value)));
    }

    [Fact]
    public void Tables_of_levels_are_those_of_the_format()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Fixture.GgufPath("iq-grids.json")));
        JsonElement tables = document.RootElement.GetProperty("tables");
        Assert.Equal(Numbers("kvalues_iq4nl"), Enumerable.Range(0, 16).Select(Iq4Levels.Value));
        Assert.Equal(Numbers("kvalues_fp4"), Enumerable.Range(0, 16).Select(Fp4Levels.Value));
        Assert.Equal(Numbers("ksigns_iq2xs"), Enumerable.Range(0, 128).Select(seven => (float)Tensors.Formats.Ggml.Types.EvenSigns.Expand(seven)));

        IEnumerable<float> Numbers(string name) => tables.GetProperty(name).GetProperty("values").EnumerateArray().Select(value => value.GetSingle());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_nearest_point_costs_no_more_than_any_other(string name)
    {
        Grid grid = Grids[name];
        int levels = grid.Levels.Length, half = grid.Dimensions / 2 * levels;
        Random random = new(1);
        for (int run = 0; run < 100; run++)
        {
            float[] costs = [.. Enumerable.Range(0, 2 * half).Select(_ => (float)random.Next(100))], extras = [.. costs.Select(_ => (float)random.Next(100))];
            float[] left = new float[grid.HalfCodes], right = new float[grid.HalfCodes], leftExtra = new float[grid.HalfCodes], rightExtra = new float[grid.HalfCodes];
            grid.Combine(costs.AsSpan(0, half), left);
            grid.Combine(costs.AsSpan(half), right);
            grid.CombineLeast(extras.AsSpan(0, half), leftExtra);
            grid.CombineLeast(extras.AsSpan(half), rightExtra);

            float[] all = [.. Enumerable.Range(0, grid.Count).Select(point => Of(costs, point).Sum())];
            int nearest = grid.Nearest(left, right, out float cost);
            Assert.Equal(all.Min(), cost);
            Assert.Equal(cost, all[nearest]);

            float[] withExtra = [.. Enumerable.Range(0, grid.Count).Select(point => Of(costs, point).Sum() + Of(extras, point).Min())];
            nearest = grid.NearestWithExtra(left, right, leftExtra, rightExtra, out cost);
            Assert.Equal(withExtra.Min(), cost);
            Assert.Equal(cost, withExtra[nearest]);
        }

        IEnumerable<float> Of(float[] table, int point) =>
            grid.Point(point).ToArray().Select((value, i) => table[(i * levels) + Array.IndexOf(grid.Levels, value)]);
    }
}

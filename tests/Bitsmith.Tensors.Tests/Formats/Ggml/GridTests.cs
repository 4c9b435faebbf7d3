using System.Text.Json;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;
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
        const int Width = LaneMath.Width;
        Grid grid = Grids[name];
        Random random = new(1);
        for (int run = 0; run < 50; run++)
        {
            float reach = grid.Levels[^1] * 1.3f;
            float[] targets = Draw(() => ((float)random.NextDouble() * 2 * reach) - reach), weights = Draw(() => MathF.Exp(4 * random.NextSingle()));
            ScalarLanes keys = GridSearch.Nearest<ScalarLanes>(grid, targets, weights, out ScalarLanes cost);
            float[] coordinates = new float[targets.Length], costs = new float[Width];
            GridSearch.Coordinates(grid, keys, coordinates);
            ScalarLanes.Store32(cost, ref costs[0]);
            for (int lane = 0; lane < Width; lane++)
            {
                double least = Enumerable.Range(0, grid.Count).Min(point => Cost(grid.Point(point).ToArray()));
                double chosen = Cost([.. Enumerable.Range(0, grid.Dimensions).Select(i => coordinates[(i * Width) + lane])]);
                Assert.InRange(chosen, least, least * 1.0001);
                Assert.InRange(costs[lane], least * 0.9999, least * 1.0001);

                double Cost(float[] point) => point.Select((value, i) => weights[(i * Width) + lane] * Math.Pow(targets[(i * Width) + lane] - value, 2)).Sum();
            }
        }

        float[] Draw(Func<float> value) => [.. Enumerable.Range(0, grid.Dimensions * Width).Select(_ => value())];
    }
}

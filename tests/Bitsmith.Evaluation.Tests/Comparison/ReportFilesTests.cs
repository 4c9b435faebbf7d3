using System.Xml.Linq;
using Bitsmith.Evaluation.Comparison;
using Bitsmith.Evaluation.Comparison.Rendering;
using Bitsmith.Evaluation.Divergence;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Evaluation.Tests.Comparison;

public sealed class ReportFilesTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-report-");

    public void Dispose() => root.Delete(recursive: true);

    [Fact]
    public void Pictures_are_well_formed_and_the_page_holds_them_and_needs_nothing_else()
    {
        ComparisonReport report = Report(9);
        IReadOnlyList<string> files = ReportFiles.Write(report, root.FullName);
        Assert.Equal(["size.svg", "layers.svg", "passage.svg", "report.html", "report.json"], files.Select(Path.GetFileName));
        string page = File.ReadAllText(files[3]);
        foreach (string file in files.Take(3))
        {
            XElement svg = XDocument.Parse(File.ReadAllText(file)).Root!;
            Assert.Equal("svg", svg.Name.LocalName);
            Assert.Contains(File.ReadAllText(file).TrimEnd(), page, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("http://", page.Replace("http://www.w3.org/2000/svg", string.Empty, StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(root.FullName, "*.new"));
    }

    [Fact]
    public void What_names_and_tokens_hold_is_shown_and_not_obeyed()
    {
        ComparisonReport plain = Report(2);
        string[] hostile = ["<script>alert(1)</script>", "\0\u0001\u001b", "\n", "\t", "&amp;", "中文", "\ufffd", "\uffff", "\ud83d\ude00", "]]>", "\"'"];
        ComparisonReport report = plain with
        {
            Passage = new Passage(1, string.Concat(hostile), hostile),
            Models = [.. plain.Models.Select((model, i) => model with { Name = i == 0 ? model.Name : $"<b>|{i}", Passage = new float[hostile.Length] })],
        };
        ReportFiles.Write(report, root.FullName);
        string page = File.ReadAllText(Path.Combine(root.FullName, "report.html")), picture = File.ReadAllText(Path.Combine(root.FullName, "passage.svg"));
        Assert.Contains("中文", XDocument.Parse(picture).Root!.Value, StringComparison.Ordinal);
        Assert.Contains("⏎", picture, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("<b>", page, StringComparison.Ordinal);
        Assert.Contains("| <b>\\|1 |", ComparisonTables.Quality(report).ToMarkdown(), StringComparison.Ordinal);
        XDocument.Parse(File.ReadAllText(Path.Combine(root.FullName, "size.svg")));
    }

    [Fact]
    public void Models_without_divergence_or_error_can_be_drawn()
    {
        ComparisonReport plain = Report(3);
        ComparisonReport report = plain with { Models = [.. plain.Models.Select(model => model.Divergence is null ? model : model with { Divergence = model.Divergence with { Mean = new Estimate(0, 0) }, Layers = [new LayerError(0, 0, 0)] })] };
        Assert.All(ReportFiles.Write(report, root.FullName).Where(file => file.EndsWith(".svg", StringComparison.Ordinal)), file => XDocument.Parse(File.ReadAllText(file)));
    }

    [Fact]
    public void Names_cover_no_other_name_where_there_is_room()
    {
        // A front of ten models, each with its name, on a chart of the usual size.
        (double X, double Y)[] points = [.. Enumerable.Range(0, 10).Select(i => (100 + (i * 80.0), 480 - (i * 45.0)))];
        var places = ComparisonCharts.LabelPlaces(points, [.. points.Select((_, i) => $"model-{i}-q4_k_m")], 84, 930, 48, 500);
        (double Left, double Right, double Y)[] boxes = [.. places.Select(place => (Left: place.X - (place.Anchor == Anchor.End ? 94 : place.Anchor == Anchor.Middle ? 47 : 0), place.Y)).Select(box => (box.Left, box.Left + 94, box.Y))];
        for (int i = 0; i < boxes.Length; i++)
        {
            Assert.DoesNotContain(boxes.Take(i), other => Math.Abs(other.Y - boxes[i].Y) < 12 && other.Left < boxes[i].Right && boxes[i].Left < other.Right);
        }
    }

    [Fact]
    public void An_axis_holds_its_values_and_has_marks_to_read_them_by() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            Random random = new(seed);
            double[] values = [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => Math.Pow(10, (random.NextDouble() * 12) - 7))];
            foreach (Axis axis in (Axis[])[Axis.Linear(values, 10, 110), Axis.Logarithmic(values, 10, 110)])
            {
                Assert.All(values, value => Assert.InRange(axis.Place(value), 10, 110));
                Assert.InRange(axis.Ticks.Count, 1, 40);
                Assert.All(axis.Ticks, tick => Assert.InRange(axis.Place(tick.Value), 10 - 1e-9, 110 + 1e-9));
                Assert.Equal(axis.Ticks.Select(tick => tick.Value).Order(), axis.Ticks.Select(tick => tick.Value));
                Assert.Equal(values.Order().Select(axis.Place).Order(), values.Order().Select(axis.Place));
            }
        }).QuickCheckThrowOnFailure();

    private static ComparisonReport Report(int models)
    {
        Random random = new(models);
        string[] tokens = [.. Enumerable.Range(0, 120).Select(i => $" token{i}")];
        ModelConditions conditions = new("/somewhere/model", "glm4", 9_400_000_000, 18_800_000_000, 16, [], "scheme", ["f32 (240 Linears)"], "f16", 2, "avx512", "a processor", "0.1.0");
        ComparedModel basis = new("base", "f", conditions, new Estimate(7.5, 0.05), null, false, [], [], [], null, null);
        return new ComparisonReport(
            "0.1.0", new TextConditions("/somewhere/wiki.test.raw", 512, 512, 100, 25500, null, new string('a', 64)), 768, new Passage(3, "Before it. ", tokens),
            [basis, .. Enumerable.Range(1, models).Select(i => Compared(i))], ["A note."]);

        ComparedModel Compared(int i)
        {
            DivergenceSum sum = new();
            foreach (int token in Enumerable.Range(0, 200))
            {
                double loss = 1 + random.NextDouble();
                sum.Add(new TokenDivergence(random.NextDouble() / (1 << i), loss + (0.01 * random.NextDouble()), loss, token % 10 != 0));
            }

            return new ComparedModel(
                $"model-{i}", "f", conditions with { WeightBytes = 2_000_000_000L + (i * 900_000_000L), BitsPerWeight = 2 + i }, sum.Perplexity, sum.Statistics(), i != 2,
                [.. Enumerable.Range(0, 40).Select(layer => new LayerError(layer, 0.01 * (layer + 1) / i, 0.002 / i))],
                [.. tokens.Select(_ => (float)Math.Pow(10, (random.NextDouble() * 5) - 5))], [], null, null);
        }
    }
}

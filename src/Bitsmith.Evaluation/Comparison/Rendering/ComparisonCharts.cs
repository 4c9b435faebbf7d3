namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>The pictures of a comparison, each an SVG document.</summary>
public static class ComparisonCharts
{
    private const double Width = 960, Small = 12, Label = 13, Heading = 16;

    /// <summary>Mean KL divergence against size, and the front of models that none outdoes in both.</summary>
    public static string Size(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        const double height = 560, left = 84, right = 30, top = 48, bottom = 64;
        ComparedModel[] models = [.. report.Quantized];
        (double Bytes, double Divergence, double Error)[] points = [.. models.Select(model => ((double)model.Model.WeightBytes, model.Divergence!.Mean.Value, model.Divergence.Mean.Error))];
        double unit = points.Max(point => point.Bytes) >= 1e9 ? 1e9 : 1e6;
        Axis x = Axis.Linear([.. points.Select(point => point.Bytes / unit)], left, Width - right);
        Axis y = Axis.Logarithmic(points.SelectMany(point => (double[])[point.Divergence - point.Error, point.Divergence + point.Error]), height - bottom, top);
        using Svg svg = new(Width, height, $"Mean KL divergence from {report.Base.Name} against size");
        Frame(svg, x, y, left, top, Width - right, height - bottom);
        svg.Text(left, 28, $"Mean KL divergence from {report.Base.Name} against size", Heading, Palette.Ink);
        svg.Text((left + Width - right) / 2, height - 18, unit == 1e9 ? "size of the weights, GB" : "size of the weights, MB", Label, Palette.Ink, Anchor.Middle);
        svg.Text(22, (top + height - bottom) / 2, "mean KL divergence, nats (logarithmic)", Label, Palette.Ink, Anchor.Middle, turn: -90);
        (double X, double Y)[] places = [.. points.Select(point => (x.Place(point.Bytes / unit), y.Place(point.Divergence)))];

        // A model at a corner of the front is best from its size up to that of the next.
        List<(double X, double Y)> steps = [];
        foreach (int i in Enumerable.Range(0, models.Length).Where(i => models[i].OnFront).OrderBy(i => places[i].X))
        {
            if (steps.Count > 0)
            {
                steps.Add((places[i].X, steps[^1].Y));
            }

            steps.Add(places[i]);
        }

        svg.Polyline(steps, Palette.Soft, 1.5, "5 4", "Pareto front");
        for (int i = 0; i < models.Length; i++)
        {
            (double px, double py) = places[i];
            svg.Line(px, y.Place(points[i].Divergence - points[i].Error), px, y.Place(points[i].Divergence + points[i].Error), Palette.Of(i), 2);
            string colour = Palette.Of(i);
            svg.Circle(px, py, 5.5, models[i].OnFront ? colour : "#ffffff", colour, $"{models[i].Name}: {ComparisonTables.Size(models[i].Model.WeightBytes)} GB, KLD {points[i].Divergence:0.000000} ± {points[i].Error:0.000000}");
        }

        foreach ((int i, double tx, double ty, Anchor anchor) in LabelPlaces(places, [.. models.Select(model => model.Name)], left, Width - right, top, height - bottom))
        {
            svg.Text(tx, ty, models[i].Name, Small, Palette.Ink, anchor);
        }

        svg.Text(Width - right, top - 8, "filled, dashed line: no other is at most as large and at most as far off", Small, Palette.Soft, Anchor.End);
        return svg.Finish();
    }

    /// <summary>Relative errors of the hidden state behind each layer: carried along through the model, and each layer's own.</summary>
    public static string Layers(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        const double height = 470, left = 84, gap = 64, right = 24, top = 72, row = 18;
        ComparedModel[] models = [.. report.Quantized];
        int perRow = Math.Max(1, (int)((Width - left - right) / ((models.Max(model => model.Name.Length) * Small * Svg.CharacterWidth) + 40)));
        double bottom = 62 + (row * Math.Ceiling(models.Length / (double)perRow)), panel = (Width - left - gap - right) / 2, floor = height - 62;
        double total = height + bottom - 62;
        double[] layers = [.. models[0].Layers.Select(layer => (double)layer.Layer)];
        Axis y = Axis.Logarithmic(models.SelectMany(model => model.Layers).SelectMany(layer => (double[])[layer.Carried, layer.Own]), floor, top);
        using Svg svg = new(Width, total, "Error of the hidden state behind each layer");
        svg.Text(left, 28, $"Error of the hidden state behind each layer, passage {report.Passage.Chunk}", Heading, Palette.Ink);
        svg.Text(22, (top + floor) / 2, "‖x − base‖ / ‖base‖ (logarithmic)", Label, Palette.Ink, Anchor.Middle, turn: -90);
        (string Name, Func<LayerError, double> Of)[] panels = [("carried along through the model", layer => layer.Carried), ("of each layer alone, given the base model's state", layer => layer.Own)];
        for (int side = 0; side < panels.Length; side++)
        {
            double start = left + (side * (panel + gap));
            Axis x = Axis.Linear(layers, start, start + panel);
            Frame(svg, x, y, start, top, start + panel, floor, wholeNumbers: true);
            svg.Text(start, top - 12, panels[side].Name, Label, Palette.Ink);
            svg.Text(start + (panel / 2), floor + 40, "layer", Label, Palette.Ink, Anchor.Middle);
            for (int i = 0; i < models.Length; i++)
            {
                svg.Polyline(models[i].Layers.Select(layer => (x.Place(layer.Layer), y.Place(panels[side].Of(layer)))), Palette.Of(i), 2, i % 2 == 0 ? null : "7 3", models[i].Name);
            }
        }

        for (int i = 0; i < models.Length; i++)
        {
            double legendX = left + (i % perRow * ((Width - left - right) / perRow)), legendY = floor + 62 + (i / perRow * row);
            svg.Line(legendX, legendY - 4, legendX + 24, legendY - 4, Palette.Of(i), 2, i % 2 == 0 ? null : "7 3");
            svg.Text(legendX + 30, legendY, models[i].Name, Small, Palette.Ink);
        }

        return svg.Finish();
    }

    /// <summary>A passage with a strip for each model under every line, coloured by the divergence at each token.</summary>
    public static string Passage(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        const double size = 13, character = size * Svg.MonospaceWidth, strip = 7, top = 104, between = 16;
        ComparedModel[] models = [.. report.Quantized];
        double left = 24 + (models.Max(model => model.Name.Length) * 9 * Svg.CharacterWidth);
        int columns = (int)((Width - left - 20) / character);
        string[] tokens = [.. report.Passage.Tokens.Select(Svg.Visible)];
        List<(int First, int Count)> lines = [];
        for (int i = 0, used = 0; i < tokens.Length; i++)
        {
            int width = Svg.Columns(tokens[i]);
            if (lines.Count == 0 || used + width > columns)
            {
                lines.Add((i, 0));
                used = 0;
            }

            used += width;
            lines[^1] = (lines[^1].First, lines[^1].Count + 1);
        }

        double lineHeight = size + 6 + (strip * models.Length) + between, height = top + (lines.Count * lineHeight) + 10;
        using Svg svg = new(Width, height, "KL divergence token by token");
        svg.Text(20, 28, $"KL divergence token by token, passage {report.Passage.Chunk}", Heading, Palette.Ink);
        svg.Text(20, 50, "Each strip is a model, in the order of the names at the left; the colour is the divergence of its probabilities for this token from the base model's.", Small, Palette.Soft);
        string[] scale = ["0.0001", "0.001", "0.01", "0.1", "1 nat"];
        for (int i = 0; i <= 80; i++)
        {
            svg.Rectangle(20 + (i * 4), 60, 4.2, 10, Palette.OfDivergence(Math.Pow(10, (i / 20.0) - 4)));
        }

        for (int i = 0; i < scale.Length; i++)
        {
            svg.Text(20 + (i * 80), 84, scale[i], 10, Palette.Soft, i == 0 ? Anchor.Start : Anchor.Middle);
        }

        for (int line = 0; line < lines.Count; line++)
        {
            double y = top + (line * lineHeight), x = left;
            for (int m = 0; m < models.Length; m++)
            {
                svg.Text(left - 6, y + size + 5 + (strip * (m + 1)) - 1, models[m].Name, strip, Palette.Soft, Anchor.End);
            }

            for (int i = lines[line].First; i < lines[line].First + lines[line].Count; i++)
            {
                double width = Svg.Columns(tokens[i]) * character;
                svg.Text(x, y + size, tokens[i], size, Palette.Ink, isMonospace: true);
                for (int m = 0; m < models.Length; m++)
                {
                    float divergence = models[m].Passage[i];
                    svg.Rectangle(x + 0.5, y + size + 5 + (strip * m), width - 1, strip - 1, Palette.OfDivergence(divergence), $"{models[m].Name}, '{tokens[i]}': {divergence:0.00000} nats");
                }

                x += width;
            }
        }

        return svg.Finish();
    }

    private static void Frame(Svg svg, Axis x, Axis y, double left, double top, double right, double bottom, bool wholeNumbers = false)
    {
        foreach ((double value, string label) in y.Ticks)
        {
            double place = y.Place(value);
            svg.Line(left, place, right, place, Palette.Faint);
            svg.Text(left - 8, place + 4, label, Small, Palette.Soft, Anchor.End);
        }

        foreach ((double value, string label) in x.Ticks.Where(tick => !wholeNumbers || (tick.Value == Math.Floor(tick.Value) && tick.Value >= 0)))
        {
            double place = x.Place(value);
            svg.Line(place, bottom, place, bottom + 5, Palette.Soft);
            svg.Text(place, bottom + 20, label, Small, Palette.Soft, Anchor.Middle);
        }

        svg.Line(left, bottom, right, bottom, Palette.Soft);
        svg.Line(left, top, left, bottom, Palette.Soft);
    }

    /// <summary>Places names beside their points, where they cover neither another name nor a point as far as there is such a place.</summary>
    internal static IReadOnlyList<(int Point, double X, double Y, Anchor Anchor)> LabelPlaces(
        IReadOnlyList<(double X, double Y)> points, IReadOnlyList<string> names, double left, double right, double top, double bottom)
    {
        List<(double Left, double Top, double Right, double Bottom)> taken = [.. points.Select(point => (point.X - 7, point.Y - 7, point.X + 7, point.Y + 7))];
        List<(int, double, double, Anchor)> places = [];
        foreach (int i in Enumerable.Range(0, points.Count).OrderBy(i => points[i].X))
        {
            double width = names[i].Length * Small * Svg.CharacterWidth;
            (double Dx, double Dy, Anchor Anchor)[] candidates =
            [
                (10, -8, Anchor.Start), (10, 16, Anchor.Start), (-10, -8, Anchor.End), (-10, 16, Anchor.End), (0, -14, Anchor.Middle), (0, 24, Anchor.Middle),
                (10, -24, Anchor.Start), (10, 32, Anchor.Start), (-10, -24, Anchor.End), (-10, 32, Anchor.End), (0, -30, Anchor.Middle), (0, 40, Anchor.Middle),
            ];
            (double Cost, int Candidate) best = candidates
                .Select((candidate, number) => (Cost(Box(candidate)), number))
                .MinBy(entry => (entry.Item1, entry.number));
            (double dx, double dy, Anchor anchor) = candidates[best.Candidate];
            taken.Add(Box(candidates[best.Candidate]));
            places.Add((i, points[i].X + dx, points[i].Y + dy, anchor));

            (double Left, double Top, double Right, double Bottom) Box((double Dx, double Dy, Anchor Anchor) candidate)
            {
                double x = points[i].X + candidate.Dx - (candidate.Anchor switch { Anchor.End => width, Anchor.Middle => width / 2, _ => 0 }), y = points[i].Y + candidate.Dy;
                return (x, y - Small, x + width, y + 3);
            }
        }

        return places;

        double Cost((double Left, double Top, double Right, double Bottom) box)
        {
            double outside = Math.Max(0, left - box.Left) + Math.Max(0, box.Right - right) + Math.Max(0, top - box.Top) + Math.Max(0, box.Bottom - bottom);
            return (outside * 100) + taken.Sum(other =>
                Math.Max(0, Math.Min(box.Right, other.Right) - Math.Max(box.Left, other.Left)) * Math.Max(0, Math.Min(box.Bottom, other.Bottom) - Math.Max(box.Top, other.Top)));
        }
    }
}

using System.Net;
using System.Text;

namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>A comparison as one page that needs nothing else: tables, pictures, the passage, conditions. No scripts.</summary>
public static class HtmlReport
{
    private const string Style = """
        :root { color-scheme: light; }
        body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #222; background: #fff; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
        .lead { color: #555; margin-top: 0; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
        th, td { padding: .3rem .5rem; border-bottom: 1px solid #e4e4e4; text-align: left; } th { border-bottom: 2px solid #999; }
        .n { text-align: right; } tbody tr:hover { background: #f5f7fa; }
        figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; border: 1px solid #e4e4e4; border-radius: 4px; }
        details { margin: .4rem 0; } summary { cursor: pointer; }
        .passage { font: 13px/2 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #ddd; padding-left: .8rem; }
        .passage span { padding: 2px 0; } .before { color: #888; }
        ul.conditions { font-size: .87rem; color: #444; padding-left: 1.2rem; }
        """;

    /// <summary>The page.</summary>
    public static string Create(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        StringBuilder page = new();
        page.Append($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="generator" content="Bitsmith {Text(report.Version)}">
            <link rel="icon" href="data:,">
            <title>{Text(report.Base.Name)}: what quantization lost</title>
            <style>
            {Style}
            </style>
            </head>
            <body>
            <h1>{Text(report.Base.Name)}: what quantization lost</h1>
            <p class="lead">{report.Quantized.Count()} quantized models against the base model, on {report.Text.ScoredTokens} tokens of {Text(Path.GetFileName(report.Text.Source))}</p>

            """);
        IReadOnlyList<ReportTable> tables = ComparisonTables.All(report);
        Table(page, tables[0]);
        Figure(page, ComparisonCharts.Size(report));
        foreach (ReportTable table in tables.Skip(1))
        {
            Table(page, table);
        }

        page.Append("<h2>Layers</h2>\n");
        Figure(page, ComparisonCharts.Layers(report));
        page.Append("<h2>Token by token</h2>\n");
        Figure(page, ComparisonCharts.Passage(report));
        foreach (ComparedModel model in report.Quantized)
        {
            Passage(page, report.Passage, model);
        }

        page.Append("<h2>Conditions</h2>\n<ul class=\"conditions\">\n");
        foreach (string line in ComparisonTables.Conditions(report))
        {
            page.Append($"<li>{Text(line)}</li>\n");
        }

        return page.Append("</ul>\n</body>\n</html>\n").ToString();
    }

    private static void Table(StringBuilder page, ReportTable table)
    {
        page.Append($"<h2>{Text(table.Title)}</h2>\n<div class=\"wide\"><table>\n<thead><tr>");
        foreach (ReportColumn column in table.Columns)
        {
            page.Append($"<th{Class(column)}>{Text(column.Title)}</th>");
        }

        page.Append("</tr></thead>\n<tbody>\n");
        foreach (IReadOnlyList<string> row in table.Rows)
        {
            page.Append("<tr>");
            foreach ((int i, string cell) in row.Index())
            {
                page.Append($"<td{Class(table.Columns[i])}>{Text(cell)}</td>");
            }

            page.Append("</tr>\n");
        }

        page.Append("</tbody></table></div>\n");

        static string Class(ReportColumn column) => column.IsNumber ? " class=\"n\"" : string.Empty;
    }

    private static void Figure(StringBuilder page, string svg) => page.Append("<figure>\n").Append(svg).Append("</figure>\n");

    private static void Passage(StringBuilder page, Passage passage, ComparedModel model)
    {
        page.Append($"<details><summary>{Text(model.Name)}: the passage, coloured</summary>\n<p class=\"passage\"><span class=\"before\">{Text(Plain(passage.Context))}</span>");
        foreach ((int i, string token) in passage.Tokens.Index())
        {
            page.Append($"<span style=\"background:{Palette.OfDivergence(model.Passage[i])}\" title=\"{model.Passage[i]:0.00000} nats\">{Text(Plain(token))}</span>");
        }

        page.Append("</p></details>\n");
    }

    // Line ends stay; what a page must not hold is made visible.
    private static string Plain(string text) => string.Join('\n', text.Split('\n').Select(Svg.Visible));

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}

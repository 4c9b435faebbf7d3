using System.Text;

namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>A column of a table.</summary>
/// <param name="Title">Its head.</param>
/// <param name="IsNumber">Numbers are aligned to the right.</param>
public sealed record ReportColumn(string Title, bool IsNumber);

/// <summary>A table of a report, ready to be shown on a terminal, in Markdown or on a page.</summary>
/// <param name="Title">What it shows.</param>
/// <param name="Columns">The columns.</param>
/// <param name="Rows">The cells of each row.</param>
public sealed record ReportTable(string Title, IReadOnlyList<ReportColumn> Columns, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>The table in Markdown (GitHub's).</summary>
    public string ToMarkdown()
    {
        StringBuilder text = new();
        Line(Columns.Select(column => Cell(column.Title)));
        Line(Columns.Select(column => column.IsNumber ? "---:" : "---"));
        foreach (IReadOnlyList<string> row in Rows)
        {
            Line(row.Select(Cell));
        }

        return text.ToString();

        void Line(IEnumerable<string> cells) => text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");

        static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal).ReplaceLineEndings(" ");
    }

    /// <summary>Makes a table.</summary>
    /// <param name="title">What it shows.</param>
    /// <param name="columns">Heads of the columns; one that begins with '&gt;' is that of numbers.</param>
    /// <param name="rows">The cells of each row.</param>
    public static ReportTable Create(string title, IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows) =>
        new(title, [.. columns.Select(column => new ReportColumn(column.TrimStart('>'), column.StartsWith('>')))], [.. rows]);
}

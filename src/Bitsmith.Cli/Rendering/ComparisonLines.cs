using System.Diagnostics;
using Bitsmith.Evaluation.Comparison;
using Bitsmith.Evaluation.Comparison.Rendering;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>A comparison for people.</summary>
internal static class ComparisonLines
{
    /// <summary>A line when something is finished, and every few seconds.</summary>
    public static IProgress<ComparisonProgress> Progress(Terminal terminal) => new Lines(terminal.Error);

    public static void Write(Terminal terminal, ComparisonReport report)
    {
        foreach (ReportTable table in ComparisonTables.All(report))
        {
            terminal.Out.WriteLine(table.Title);
            Table shown = Tables.Create([.. table.Columns.Select(column => column.IsNumber ? $">{column.Title}" : column.Title)]);
            foreach (IReadOnlyList<string> row in table.Rows)
            {
                shown.Row([.. row]);
            }

            shown.AddTo(terminal);
        }

        foreach (string line in ComparisonTables.Conditions(report))
        {
            terminal.Out.WriteLine(line);
        }
    }

    private sealed class Lines(TextWriter error) : IProgress<ComparisonProgress>
    {
        private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

        private readonly Stopwatch clock = Stopwatch.StartNew();
        private (string Model, string Metric, TimeSpan Begin, int Done) work = (string.Empty, string.Empty, TimeSpan.Zero, 0);
        private TimeSpan next = Interval;

        public void Report(ComparisonProgress value)
        {
            TimeSpan now = clock.Elapsed;
            if ((value.Model, value.Metric) != (work.Model, work.Metric))
            {
                work = (value.Model, value.Metric, now, value.Done - 1);
            }

            if (!value.IsDone && now < next)
            {
                return;
            }

            next = now + Interval;
            string name = value.Model.Length == 0 ? value.Metric : $"{value.Model}: {value.Metric}";
            string left = value.IsDone || value.Done - work.Done < 2 ? string.Empty : $", {(now - work.Begin) / (value.Done - work.Done - 1) * (value.Total - value.Done):hh\\:mm\\:ss} left";
            error.WriteLine(value.IsKept ? $"{name}: measured before" : value.IsDone ? $"{name}: done" : $"{name}: {value.Done} of {value.Total}{left}");
        }
    }
}

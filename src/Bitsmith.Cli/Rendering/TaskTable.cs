using System.Diagnostics;
using Bitsmith.Evaluation.Tasks;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>Task scores for people.</summary>
internal static class TaskTable
{
    /// <summary>A line every few seconds, and at the end of each task.</summary>
    public static IProgress<TaskProgress> Progress(Terminal terminal) => new Lines(terminal.Error);

    public static void Write(Terminal terminal, TasksReport report)
    {
        Table table = Tables.Create("task", ">items", ">of", ">score, %", ">±", ">95 % interval", ">guessing, %");
        foreach (TaskResult task in report.Tasks)
        {
            Row(table, task.Task.Title(), task.Score, $"{task.Available}");
            foreach (TaskPart part in task.Parts)
            {
                Row(table, $"  {Path.GetFileName(part.File)}", part.Score, string.Empty);
            }
        }

        if (report.Average is { } average)
        {
            table.Row("average", string.Empty, string.Empty, $"{average.Value:0.0000}", $"{average.Error:0.0000}", string.Empty, string.Empty);
        }

        table.AddTo(terminal);
        foreach (string note in report.Tasks.SelectMany(task => task.Notes))
        {
            terminal.Out.WriteLine($"note: {note}");
        }

        terminal.Out.WriteLine($"at most {report.ContextSize} tokens a choice, seed {string.Join(", ", report.Tasks.Select(task => task.Seed).Distinct())}, {report.Seconds:0.0} s");
        EvaluationTable.Model(terminal, "model", report.Model);
    }

    private static void Row(Table table, string name, TaskScore score, string available) => table.Row(
        name, $"{score.Items}", available, $"{score.Percent:0.0000}", $"{score.Error:0.0000}", $"{score.Interval.Low:0.00} - {score.Interval.High:0.00}", $"{score.Chance.Value:0.00}");

    private sealed class Lines(TextWriter error) : IProgress<TaskProgress>
    {
        private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

        private readonly Stopwatch clock = Stopwatch.StartNew();
        private TimeSpan next = Interval;

        public void Report(TaskProgress value)
        {
            if (value.Done == value.Total || clock.Elapsed >= next)
            {
                next = clock.Elapsed + Interval;
                error.WriteLine($"{value.Task.Title()}: {value.Done} of {value.Total}, {100.0 * value.Correct / value.Done:0.0000} %");
            }
        }
    }
}

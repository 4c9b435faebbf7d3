using System.Diagnostics;
using Bitsmith.Quantization.Jobs;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>Shows how far a job is: a bar with rate and time left on a terminal, a line every few seconds elsewhere.</summary>
internal static class ProgressDisplay
{
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(5);

    /// <summary>Runs work that reports its progress.</summary>
    public static T Run<T>(Terminal terminal, string title, Func<IProgress<JobProgress>, T> work)
    {
        Stopwatch clock = Stopwatch.StartNew();
        if (!terminal.IsInteractive)
        {
            return work(new Lines(terminal.Error, title, clock));
        }

        return terminal.Messages.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new TransferSpeedColumn(), new RemainingTimeColumn())
            .Start(context => work(new Bar(context.AddTask(title))));
    }

    private sealed class Bar(ProgressTask task) : IProgress<JobProgress>
    {
        public void Report(JobProgress value)
        {
            task.MaxValue = value.TotalBytes;
            task.Value = value.DoneBytes;
        }
    }

    private sealed class Lines(TextWriter error, string title, Stopwatch clock) : IProgress<JobProgress>
    {
        private TimeSpan next = LineInterval;

        public void Report(JobProgress value)
        {
            TimeSpan now = clock.Elapsed;
            if (now < next)
            {
                return;
            }

            next = now + LineInterval;
            double rate = value.DoneBytes / now.TotalSeconds;
            TimeSpan left = TimeSpan.FromSeconds((value.TotalBytes - value.DoneBytes) / Math.Max(rate, 1));
            error.WriteLine($"{title}: {100.0 * value.DoneBytes / value.TotalBytes:0}%  {Units.Bytes((long)rate)}/s  {left:hh\\:mm\\:ss} left  {value.Tensor}");
        }
    }
}

using System.Diagnostics;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Jobs;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Bitsmith.Cli.Rendering;

/// <summary>Shows how far a job is: a bar with rate and time left on a terminal, a line every few seconds elsewhere.</summary>
internal static class ProgressDisplay
{
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(5);

    /// <summary>Runs work that reports its progress.</summary>
    public static T Run<T>(Terminal terminal, string title, Func<IProgress<JobProgress>, T> work) => Run(terminal, title, (progress, _) => work(progress));

    /// <summary>Runs work that may begin with a calibration and reports the progress of both.</summary>
    public static T Run<T>(Terminal terminal, string title, Func<IProgress<JobProgress>, IProgress<CalibrationProgress>, T> work)
    {
        if (!terminal.IsInteractive)
        {
            Lines lines = new(terminal.Error, title);
            return work(lines, lines);
        }

        return terminal.Messages.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RateColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                Bars bars = new(context, title);
                return work(bars, bars);
            });
    }

    private sealed class Bars(ProgressContext context, string title) : IProgress<JobProgress>, IProgress<CalibrationProgress>
    {
        private ProgressTask? calibration, bytes;

        public void Report(JobProgress value)
        {
            bytes ??= context.AddTask(title);
            bytes.MaxValue = value.TotalBytes;
            bytes.Value = value.DoneBytes;
        }

        public void Report(CalibrationProgress value)
        {
            calibration ??= context.AddTask(title, maxValue: 1);
            calibration.Description = $"layer {value.Layer + 1} of {value.Layers}, sample {value.Samples} of {value.AllSamples}";
            calibration.Value = value.Done;
        }
    }

    /// <summary>The rate of what is counted in bytes.</summary>
    private sealed class RateColumn : ProgressColumn
    {
        private readonly TransferSpeedColumn speed = new();

        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) => task.MaxValue > 1 ? speed.Render(options, task, deltaTime) : Text.Empty;
    }

    private sealed class Lines(TextWriter error, string title) : IProgress<JobProgress>, IProgress<CalibrationProgress>
    {
        private TimeSpan next = LineInterval, began;
        private readonly Stopwatch clock = Stopwatch.StartNew();

        public void Report(JobProgress value)
        {
            TimeSpan now = clock.Elapsed;
            if (now < next)
            {
                return;
            }

            next = now + LineInterval;
            double rate = value.DoneBytes / (now - began).TotalSeconds;
            TimeSpan left = TimeSpan.FromSeconds((value.TotalBytes - value.DoneBytes) / Math.Max(rate, 1));
            error.WriteLine($"{title}: {100.0 * value.DoneBytes / value.TotalBytes:0}%  {Units.Bytes((long)rate)}/s  {left:hh\\:mm\\:ss} left  {value.Tensor}");
        }

        public void Report(CalibrationProgress value)
        {
            TimeSpan now = began = clock.Elapsed;
            if (now >= next)
            {
                next = now + LineInterval;
                error.WriteLine($"calibration: {100 * value.Done:0}%  layer {value.Layer + 1} of {value.Layers}, sample {value.Samples} of {value.AllSamples}  {value.Left:hh\\:mm\\:ss} left");
            }
        }
    }
}

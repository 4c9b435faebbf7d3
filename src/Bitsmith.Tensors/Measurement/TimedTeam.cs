namespace Bitsmith.Tensors.Measurement;

/// <summary>Times work that several threads begin together.</summary>
internal static class TimedTeam
{
    /// <summary>Runs work in passes; all threads begin a pass at once, and a pass lasts until the slowest is done.</summary>
    /// <param name="threads">Threads, each on work of its own.</param>
    /// <param name="passes">Timed passes, behind one that is not timed.</param>
    /// <param name="work">Told the thread, counted from 0.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <returns>Seconds of each timed pass.</returns>
    public static double[] Run(int threads, int passes, Action<int> work, TimeProvider clock, CancellationToken cancellationToken)
    {
        long start = 0;
        List<double> seconds = [];
        bool stop = false;

        // The action of a phase runs when all threads have arrived: phases are begin, end, begin, end, …
        using Barrier barrier = new(threads, phase =>
        {
            if (phase.CurrentPhaseNumber % 2 == 0)
            {
                stop = cancellationToken.IsCancellationRequested || seconds.Count > passes;
                start = clock.GetTimestamp();
            }
            else
            {
                seconds.Add(clock.GetElapsedTime(start).TotalSeconds);
            }
        });
        Thread[] others = [.. Enumerable.Range(1, threads - 1).Select(thread => new Thread(() => Passes(thread)) { IsBackground = true, Name = "bitsmith measurement" })];
        foreach (Thread other in others)
        {
            other.Start();
        }

        Passes(0);
        foreach (Thread other in others)
        {
            other.Join();
        }

        cancellationToken.ThrowIfCancellationRequested();
        return [.. seconds.Skip(1)];

        void Passes(int thread)
        {
            barrier.SignalAndWait(CancellationToken.None);
            while (!stop)
            {
                work(thread);
                barrier.SignalAndWait(CancellationToken.None);
                barrier.SignalAndWait(CancellationToken.None);
            }
        }
    }
}

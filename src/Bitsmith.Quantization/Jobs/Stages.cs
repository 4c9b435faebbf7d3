using System.Runtime.ExceptionServices;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Threads that work together: when one fails, the others are cancelled, and the first failure is what the caller sees.</summary>
internal sealed class Stages : IDisposable
{
    private readonly CancellationTokenSource cancellation;
    private readonly CancellationToken outer;
    private readonly List<Task> running = [];
    private ExceptionDispatchInfo? failure;

    public Stages(CancellationToken outer)
    {
        this.outer = outer;
        cancellation = CancellationTokenSource.CreateLinkedTokenSource(outer);
    }

    /// <summary>Cancelled on the first failure and when the caller cancels.</summary>
    public CancellationToken Token => cancellation.Token;

    public void Start(Action work) => running.Add(Task.Factory.StartNew(
        () =>
        {
            try
            {
                work();
            }
            catch (Exception problem)
            {
                // Kept and rethrown by Wait; what the cancellation itself throws in the other stages comes later and is dropped.
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(problem), null);
                cancellation.Cancel();
            }
        },
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default));

    /// <summary>Waits for all threads; rethrows the first failure.</summary>
    public void Wait()
    {
        Task.WaitAll([.. running], CancellationToken.None);
        outer.ThrowIfCancellationRequested();
        failure?.Throw();
    }

    public void Dispose() => cancellation.Dispose();
}

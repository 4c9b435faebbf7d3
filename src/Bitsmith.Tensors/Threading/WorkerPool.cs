using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Bitsmith.Tensors.Threading;

/// <summary>
/// The threads of the process that share the parts of a product with the caller. Handing over costs under a microsecond while products follow each other, because waiting threads spin
/// for a moment; then they yield, so that a busy machine loses nothing, and at last block. Nothing is allocated for a run.
/// </summary>
/// <remarks>
/// Parts are taken in ascending order, each by the thread that is free first, so a thread that the system stops holds up one part only. One run is at work at a time: a run begun inside
/// another, or while another thread's run is at work, is done by its caller alone.
/// </remarks>
internal sealed unsafe class WorkerPool
{
    private const int SpinTurns = 2000, YieldTurns = 200;
    private const int Closed = 1 << 30;

    private readonly Lock running = new();
    private readonly List<Worker> workers = [];

    // The run at work. Written while the door is closed, read by threads that came in.
    private delegate*<void*, int, void> invoke;
    private void* work;
    private int tasks, helpers;
    private Exception? failure;

    private PaddedCounter next;
    private PaddedCounter door = new() { Value = Closed };
    private PaddedCounter generation;

    [ThreadStatic]
    private static bool isInside;

    /// <summary>The pool of this process.</summary>
    public static WorkerPool Shared { get; } = new();

    /// <summary>Runs all parts on up to so many threads, the caller's among them; returns when all are done.</summary>
    /// <param name="count">Parts.</param>
    /// <param name="threads">Most threads.</param>
    /// <param name="parts">What to do; each thread uses the caller's copy.</param>
    public void Run<TWork>(int count, int threads, TWork parts)
        where TWork : struct, IParallelWork
    {
        threads = Math.Min(threads, count);
        if (threads <= 1 || isInside || !running.TryEnter())
        {
            for (int task = 0; task < count; task++)
            {
                parts.Run(task);
            }

            return;
        }

        try
        {
            isInside = true;
            // The struct stays on this stack frame until every thread has left.
            RunShared(count, threads, &Invoke<TWork>, Unsafe.AsPointer(ref parts));
        }
        finally
        {
            isInside = false;
            running.Exit();
        }
    }

    private static void Invoke<TWork>(void* parts, int task)
        where TWork : struct, IParallelWork => Unsafe.AsRef<TWork>(parts).Run(task);

    private void RunShared(int count, int threads, delegate*<void*, int, void> call, void* parts)
    {
        while (workers.Count < threads - 1)
        {
            workers.Add(new Worker(this, workers.Count));
        }

        invoke = call;
        work = parts;
        (tasks, helpers, failure, next.Value) = (count, threads - 1, null, 0);
        Volatile.Write(ref door.Value, 0);
        Interlocked.Increment(ref generation.Value);
        for (int i = 0; i < helpers; i++)
        {
            workers[i].Wake();
        }

        TakeTasks();
        Interlocked.Or(ref door.Value, Closed);
        SpinWait wait = default;
        while (Volatile.Read(ref door.Value) != Closed)
        {
            wait.SpinOnce(sleep1Threshold: -1);
        }

        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    private void TakeTasks()
    {
        try
        {
            for (int task; (task = Interlocked.Increment(ref next.Value) - 1) < tasks;)
            {
                invoke(work, task);
            }
        }
#pragma warning disable CA1031 // every failure is thrown again, on the caller's thread
        catch (Exception problem)
#pragma warning restore CA1031
        {
            Interlocked.CompareExchange(ref failure, problem, null);
            Volatile.Write(ref next.Value, int.MaxValue / 2); // no further parts
        }
    }

    private void Help(int worker)
    {
        // Come in if the door is open: it counts who is inside.
        int inside = Volatile.Read(ref door.Value);
        while ((inside & Closed) == 0)
        {
            int seen = Interlocked.CompareExchange(ref door.Value, inside + 1, inside);
            if (seen == inside)
            {
                if (worker < helpers)
                {
                    TakeTasks();
                }

                Interlocked.Decrement(ref door.Value);
                return;
            }

            inside = seen;
        }
    }

    /// <summary>A counter alone in its cache lines.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct PaddedCounter
    {
        [FieldOffset(128)]
        public int Value;
    }

#pragma warning disable CA1001 // workers live as long as the process
    private sealed class Worker
#pragma warning restore CA1001
    {
        private readonly WorkerPool pool;
        private readonly int index;
        private readonly SemaphoreSlim signal = new(0);
        private int asleep;

        public Worker(WorkerPool pool, int index)
        {
            (this.pool, this.index) = (pool, index);
            new Thread(Loop) { IsBackground = true, Name = $"bitsmith-{index + 1}" }.Start();
        }

        public void Wake()
        {
            if (Interlocked.Exchange(ref asleep, 0) == 1)
            {
                signal.Release();
            }
        }

        private void Loop()
        {
            isInside = true;
            int seen = 0;
            while (true)
            {
                seen = Await(seen);
                pool.Help(index);
            }
        }

        /// <summary>Waits until a run has begun since the one seen last.</summary>
        private int Await(int seen)
        {
            for (int turn = 0; turn < SpinTurns + YieldTurns; turn++)
            {
                if (Volatile.Read(ref pool.generation.Value) is int now && now != seen)
                {
                    return now;
                }

                if (turn < SpinTurns)
                {
                    Thread.SpinWait(8);
                }
                else
                {
                    Thread.Yield();
                }
            }

            Interlocked.Exchange(ref asleep, 1);
            if (Volatile.Read(ref pool.generation.Value) != seen && Interlocked.Exchange(ref asleep, 0) == 1)
            {
                return Volatile.Read(ref pool.generation.Value);
            }

            signal.Wait();
            return Volatile.Read(ref pool.generation.Value);
        }
    }
}

using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Tests.Threading;

public sealed class WorkerPoolTests
{
    [Fact]
    public void Every_part_is_done_once_whatever_the_threads()
    {
        foreach (int threads in (int[])[1, 2, 3, 8])
        {
            for (int tasks = 0; tasks < 70; tasks++)
            {
                int[] done = new int[tasks];
                WorkerPool.Shared.Run(tasks, threads, new Counting(done));
                Assert.All(done, times => Assert.Equal(1, times));
            }
        }
    }

    [Fact]
    public void Runs_that_follow_each_other_at_any_distance_lose_no_part()
    {
        int[] done = new int[3];
        for (int run = 1; run <= 20_000; run++)
        {
            WorkerPool.Shared.Run(done.Length, 4, new Counting(done));
            if (done.Any(times => times != run))
            {
                Assert.Fail($"run {run}: {string.Join(", ", done)}");
            }

            if (run % 5000 == 0)
            {
                Thread.Sleep(20); // long enough for the threads to fall asleep
            }
        }
    }

    [Fact]
    public void A_failure_reaches_the_caller_and_the_pool_goes_on()
    {
        for (int run = 0; run < 200; run++)
        {
            InvalidOperationException problem = Assert.Throws<InvalidOperationException>(() => WorkerPool.Shared.Run(64, 4, new Failing()));
            Assert.Equal("part 7", problem.Message);
            Every_part_is_done_once_in(run % 10);
        }
    }

    [Fact]
    public void Runs_of_several_callers_and_runs_inside_runs_finish()
    {
        int[][] done = [.. Enumerable.Range(0, 6).Select(_ => new int[200])];
        Parallel.ForEach(done, counts => WorkerPool.Shared.Run(20, 3, new Nested(counts)));
        Assert.All(done, counts => Assert.All(counts, times => Assert.Equal(1, times)));
    }

    [Fact]
    public void A_run_allocates_nothing()
    {
        int[] done = new int[100];
        WorkerPool.Shared.Run(100, 2, new Counting(done));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            WorkerPool.Shared.Run(100, 2, new Counting(done));
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void Every_part_is_done_once_in(int tasks)
    {
        int[] done = new int[tasks];
        WorkerPool.Shared.Run(tasks, 4, new Counting(done));
        Assert.All(done, times => Assert.Equal(1, times));
    }

    private readonly struct Counting(int[] done) : IParallelWork
    {
        public void Run(int task) => Interlocked.Increment(ref done[task]);
    }

    private readonly struct Failing : IParallelWork
    {
        public void Run(int task)
        {
            if (task == 7)
            {
                throw new InvalidOperationException("part 7");
            }
        }
    }

    private readonly struct Nested(int[] done) : IParallelWork
    {
        public void Run(int task) => WorkerPool.Shared.Run(10, 3, new Inner(done, task));
    }

    private readonly struct Inner(int[] done, int outer) : IParallelWork
    {
        public void Run(int task) => Interlocked.Increment(ref done[(outer * 10) + task]);
    }
}

using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>How products are computed: threads and kernels.</summary>
/// <param name="Threads">Most threads at work at once.</param>
/// <param name="InstructionSet">The kernels.</param>
public sealed record ComputeOptions(int Threads, InstructionSet InstructionSet)
{
    /// <summary>All cores, the fastest kernels.</summary>
    public static ComputeOptions Default { get; } = new(Environment.ProcessorCount, Cpu.Default);

    /// <summary>Runs independent tasks.</summary>
    /// <param name="tasks">Number of tasks.</param>
    /// <param name="task">Told the index of each.</param>
    public void For(int tasks, Action<int> task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (Threads == 1 || tasks == 1)
        {
            for (int i = 0; i < tasks; i++)
            {
                task(i);
            }
        }
        else
        {
            Parallel.For(0, tasks, new ParallelOptions { MaxDegreeOfParallelism = Threads }, task);
        }
    }
}

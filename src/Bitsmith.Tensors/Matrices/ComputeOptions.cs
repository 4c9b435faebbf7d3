using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>How products are computed: threads and kernels.</summary>
/// <param name="Threads">Most threads at work at once.</param>
/// <param name="InstructionSet">The kernels.</param>
/// <param name="BFloat16Inputs">
/// Inputs of BF16 weights are rounded to BF16 (nearest even) and multiplied by the CPU's BF16 dot instruction, as a GPU's BF16 product does; sums are binary32. Twice as fast as
/// binary32. Needs <see cref="HasBFloat16Dot"/>.
/// </param>
/// <param name="BlockInputs">
/// Inputs of weights in GGML blocks are rounded to 8 bits in blocks of 32 or 256 and multiplied in integers, as llama.cpp does: several times as fast as binary32.
/// </param>
public sealed record ComputeOptions(int Threads, InstructionSet InstructionSet, bool BFloat16Inputs = false, bool BlockInputs = false)
{
    /// <summary>True where this machine has BF16 dot products (AVX512-BF16, and a system that lets kernels be assembled).</summary>
    public static bool HasBFloat16Dot => TileKernels.HasBFloat16Dot;

    /// <summary>All cores and the fastest kernels, inputs exact.</summary>
    public static ComputeOptions Default { get; } = new(Environment.ProcessorCount, Cpu.Default);

    /// <summary>All cores and the fastest kernels: integer products of GGML blocks, BF16 dot products where the instruction set chosen has them.</summary>
    public static ComputeOptions Fastest { get; } = Default with { BlockInputs = true, BFloat16Inputs = HasBFloat16Dot && Default.InstructionSet == InstructionSet.Avx512 };

    /// <summary>
    /// Every operation rounds its result to BF16, where transformers does when a model runs in bfloat16 with eager attention and experts, and sums run in the order of PyTorch's kernels on a CPU with BF16 dot
    /// products. The same bits on every instruction set; slow.
    /// </summary>
    public bool BFloat16Results { get; init; }

    /// <summary>The fastest kernels on so many threads, or the fastest that keep inputs exact.</summary>
    public static ComputeOptions On(int threads, bool exactInputs) => (exactInputs ? Default : Fastest) with { Threads = threads };

    /// <summary>Inputs of BF16 weights are rounded to BF16; see the parameter.</summary>
    /// <exception cref="ArgumentException">This machine lacks the instruction, or the instruction set is not AVX-512.</exception>
    public bool BFloat16Inputs { get; init => field = Check(value, InstructionSet); } = Check(BFloat16Inputs, InstructionSet);

    /// <summary>Runs independent tasks.</summary>
    /// <param name="tasks">Number of tasks.</param>
    /// <param name="task">Told the index of each.</param>
    public void For(int tasks, Action<int> task)
    {
        ArgumentNullException.ThrowIfNull(task);
        Run(tasks, new Calls(task));
    }

    /// <summary>Runs independent tasks without allocating.</summary>
    /// <param name="tasks">Number of tasks.</param>
    /// <param name="work">What to do; every thread uses the same copy.</param>
    public void Run<TWork>(int tasks, TWork work)
        where TWork : struct, IParallelWork => WorkerPool.Shared.Run(tasks, Threads, work);

    private static bool Check(bool wanted, InstructionSet set) => !wanted || (HasBFloat16Dot && set == InstructionSet.Avx512)
        ? wanted
        : throw new ArgumentException("BF16 dot products need the avx512 kernels on a CPU with AVX512-BF16.", nameof(wanted));

    private readonly struct Calls(Action<int> task) : IParallelWork
    {
        public void Run(int index) => task(index);
    }
}

using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Models.Layers;

/// <summary>Work on rows of tokens, which threads share; a row's result does not depend on its neighbours.</summary>
internal static class RowWork
{
    // Fewer are not worth a hand-over to another thread.
    private const int RowsPerTask = 8;

    /// <summary>output = norm(input), row by row; may be the same memory.</summary>
    public static void Normalize(RmsNorm norm, ReadOnlyMemory<float> input, Memory<float> output, ComputeOptions compute) =>
        Run(input.Length / norm.Width, new Normalization(norm, input, output, compute.InstructionSet), compute);

    /// <summary>hidden += branch.</summary>
    public static void Add(Memory<float> hidden, ReadOnlyMemory<float> branch, int width, ComputeOptions compute) =>
        Run(hidden.Length / width, new Addition(hidden, branch, width, compute.InstructionSet), compute);

    /// <summary>output = silu(gate) · up, for rows that begin <paramref name="stride"/> values apart in gate and up, and <paramref name="width"/> apart in the output.</summary>
    public static void Gate(ReadOnlyMemory<float> gate, ReadOnlyMemory<float> up, int stride, Memory<float> output, int rows, int width, ComputeOptions compute) =>
        Run(rows, new Gating(gate, up, stride, output, width, compute.InstructionSet), compute);

    /// <summary>Work on each of some rows.</summary>
    public static void Run<TWork>(int rows, TWork work, ComputeOptions compute)
        where TWork : struct, IParallelWork
    {
        if (rows <= RowsPerTask)
        {
            for (int row = 0; row < rows; row++)
            {
                work.Run(row);
            }
        }
        else
        {
            compute.Run((rows + RowsPerTask - 1) / RowsPerTask, new Blocks<TWork>(rows, work));
        }
    }

    private readonly struct Blocks<TWork>(int rows, TWork work) : IParallelWork
        where TWork : struct, IParallelWork
    {
        public void Run(int task)
        {
            for (int row = task * RowsPerTask; row < Math.Min(rows, (task + 1) * RowsPerTask); row++)
            {
                work.Run(row);
            }
        }
    }

    private readonly struct Normalization(RmsNorm norm, ReadOnlyMemory<float> input, Memory<float> output, InstructionSet set) : IParallelWork
    {
        public void Run(int row) => norm.Apply(input.Span.Slice(row * norm.Width, norm.Width), output.Span.Slice(row * norm.Width, norm.Width), set);
    }

    private readonly struct Addition(Memory<float> hidden, ReadOnlyMemory<float> branch, int width, InstructionSet set) : IParallelWork
    {
        public void Run(int row) => ElementwiseKernels.Add(hidden.Span.Slice(row * width, width), branch.Span.Slice(row * width, width), set);
    }

    private readonly struct Gating(ReadOnlyMemory<float> gate, ReadOnlyMemory<float> up, int stride, Memory<float> output, int width, InstructionSet set) : IParallelWork
    {
        public void Run(int row) => ElementwiseKernels.SiluMultiply(
            gate.Span.Slice(row * stride, width), up.Span.Slice(row * stride, width), output.Span.Slice(row * width, width), set);
    }
}

using Bitsmith.Tensors.Elementwise;
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
        Run(input.Length / norm.Width, new Normalization(norm, norm.Weight.Values, input, output, compute), compute);

    /// <summary>output = norm(input), row by row, with the weight that a pass uses; may be the same memory.</summary>
    public static void Normalize(RmsNorm norm, ReadOnlyMemory<float> input, Memory<float> output, ForwardPass pass) =>
        Run(input.Length / norm.Width, new Normalization(norm, pass.ValuesOf(norm.Weight), input, output, pass.Compute), pass.Compute);

    /// <summary>hidden += branch.</summary>
    public static void Add(Memory<float> hidden, ReadOnlyMemory<float> branch, int width, ComputeOptions compute) =>
        Run(hidden.Length / width, new Addition(hidden, branch, width, compute), compute);

    /// <summary>output = silu(gate) · up, for rows that begin <paramref name="stride"/> values apart in gate and up, and <paramref name="width"/> apart in the output.</summary>
    public static void Gate(ReadOnlyMemory<float> gate, ReadOnlyMemory<float> up, int stride, Memory<float> output, int rows, int width, ComputeOptions compute) =>
        Run(rows, new Gating(gate, up, stride, output, width, compute), compute);

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

    private readonly struct Normalization(RmsNorm norm, float[] weight, ReadOnlyMemory<float> input, Memory<float> output, ComputeOptions compute) : IParallelWork
    {
        public void Run(int row) => norm.Apply(weight, input.Span.Slice(row * norm.Width, norm.Width), output.Span.Slice(row * norm.Width, norm.Width), compute);
    }

    private readonly struct Addition(Memory<float> hidden, ReadOnlyMemory<float> branch, int width, ComputeOptions compute) : IParallelWork
    {
        public void Run(int row)
        {
            Span<float> sums = hidden.Span.Slice(row * width, width);
            ReadOnlySpan<float> values = branch.Span.Slice(row * width, width);
            if (compute.BFloat16Results)
            {
                ElementwiseKernels.AddBFloat16(sums, values, compute.InstructionSet);
            }
            else
            {
                ElementwiseKernels.Add(sums, values, compute.InstructionSet);
            }
        }
    }

    private readonly struct Gating(ReadOnlyMemory<float> gate, ReadOnlyMemory<float> up, int stride, Memory<float> output, int width, ComputeOptions compute) : IParallelWork
    {
        public void Run(int row)
        {
            ReadOnlySpan<float> left = gate.Span.Slice(row * stride, width), right = up.Span.Slice(row * stride, width);
            Span<float> result = output.Span.Slice(row * width, width);
            if (compute.BFloat16Results)
            {
                ElementwiseKernels.SiluMultiplyBFloat16(left, right, result, compute.InstructionSet);
            }
            else
            {
                ElementwiseKernels.SiluMultiply(left, right, result, compute.InstructionSet);
            }
        }
    }
}

using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>Rows of a matrix in another order. Products are made in the stored order and their outputs put right, which costs nothing beside the product.</summary>
internal sealed class ReorderedMatrix : WeightMatrix
{
    private readonly WeightMatrix stored;
    private readonly int[] order;

    public ReorderedMatrix(WeightMatrix stored, IReadOnlyList<int> order)
        : base(stored.Rows, stored.Columns)
    {
        if (!order.Order().SequenceEqual(Enumerable.Range(0, stored.Rows)))
        {
            throw new ArgumentException($"{order.Count} indices are no permutation of {stored.Rows} rows.", nameof(order));
        }

        (this.stored, this.order) = (stored, [.. order]);
    }

    public override long Bytes => stored.Bytes;

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet)
    {
        for (int i = 0; i < count; i++)
        {
            stored.Read(order[first + i], 1, target.Slice(i * Columns, Columns), instructionSet);
        }
    }

    public override void Release() => stored.Release();

    private protected override string? RoundedInputs(ComputeOptions compute) => stored.InputPrecision(compute);

    private protected override long PanelRowBytes(ComputeOptions compute) => throw new NotSupportedException(nameof(MultiplyAll));

    private protected override void MultiplyAll(MatrixInput inputs, ReadOnlyMemory<float> bias, Memory<float> outputs, ComputeOptions compute)
    {
        stored.Multiply(inputs, default, outputs, compute);
        compute.Run(inputs.Tokens, new Ordering(order, bias, outputs));
    }

    private readonly struct Ordering(int[] order, ReadOnlyMemory<float> bias, Memory<float> outputs) : IParallelWork
    {
        public void Run(int token)
        {
            Span<float> output = outputs.Span.Slice(token * order.Length, order.Length), copy = ThreadScratch.Take<float>(order.Length);
            output.CopyTo(copy);
            for (int i = 0; i < order.Length; i++)
            {
                output[i] = copy[order[i]];
            }

            ReadOnlySpan<float> shift = bias.Span;
            for (int i = 0; i < shift.Length; i++)
            {
                output[i] += shift[i];
            }
        }
    }
}

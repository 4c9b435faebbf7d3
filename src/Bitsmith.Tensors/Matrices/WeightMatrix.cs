using System.Buffers;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// A weight matrix [rows, columns] = [out features, in features] that stays in its stored form; rows are widened to binary32 when they are needed.
/// </summary>
public abstract class WeightMatrix(int rows, int columns)
{
    // Rows widened at a time: few enough to stay in the first-level caches' neighbourhood, enough to be worth a task.
    private const int RowsPerTask = 16;

    /// <summary>Out features.</summary>
    public int Rows { get; } = rows;

    /// <summary>In features.</summary>
    public int Columns { get; } = columns;

    /// <summary>A matrix of F32, F16 or BF16 elements, row-major.</summary>
    /// <exception cref="ArgumentException">The bytes do not fit the shape.</exception>
    public static WeightMatrix Dense(ElementType type, int rows, int columns, TensorBytes bytes) => new DenseMatrix(type, rows, columns, bytes);

    /// <summary>A matrix of FP8 codes with a scale of type <paramref name="scaleType"/> for each block.</summary>
    /// <exception cref="ArgumentException">The bytes do not fit the shape.</exception>
    public static WeightMatrix Fp8(int rows, int columns, BlockShape block, TensorBytes codes, ElementType scaleType, TensorBytes scales) =>
        new Fp8Matrix(rows, columns, block, codes, scaleType, scales);

    /// <summary>Widens rows to binary32.</summary>
    /// <param name="first">First row.</param>
    /// <param name="count">Number of rows.</param>
    /// <param name="target">Receives count × columns values.</param>
    /// <param name="instructionSet">The kernels to use.</param>
    public abstract void Read(int first, int count, Span<float> target, InstructionSet instructionSet);

    /// <summary>
    /// outputs = inputs · Wᵀ (+ bias), accumulated in binary32. Each output's order of accumulation depends on the number of columns alone: it is the same for every
    /// batch size, chunking and thread count.
    /// </summary>
    /// <param name="inputs">tokens × columns, row-major.</param>
    /// <param name="tokens">Number of tokens.</param>
    /// <param name="bias">rows values, or empty.</param>
    /// <param name="outputs">Receives tokens × rows.</param>
    /// <param name="compute">Threads and kernels.</param>
    public void Multiply(ReadOnlyMemory<float> inputs, int tokens, ReadOnlyMemory<float> bias, Memory<float> outputs, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        if (inputs.Length != (long)tokens * Columns || outputs.Length != (long)tokens * Rows || (bias.Length != 0 && bias.Length != Rows))
        {
            throw new ArgumentException($"{tokens} tokens of {Columns} features and {Rows} outputs do not fit {inputs.Length}, {bias.Length} and {outputs.Length} values.");
        }

        int tasks = (Rows + RowsPerTask - 1) / RowsPerTask;
        compute.For(tasks, task =>
        {
            int first = task * RowsPerTask;
            int count = Math.Min(RowsPerTask, Rows - first);
            float[] widened = ArrayPool<float>.Shared.Rent(count * Columns);
            Read(first, count, widened.AsSpan(0, count * Columns), compute.InstructionSet);
            ReadOnlySpan<float> x = inputs.Span, b = bias.Span;
            Span<float> y = outputs.Span;
            DotProduct.Panel(x, tokens, widened.AsSpan(0, count * Columns), count, Columns, y[first..], Rows, compute.InstructionSet);
            for (int token = 0; token < tokens && !b.IsEmpty; token++)
            {
                for (int row = first; row < first + count; row++)
                {
                    y[(token * Rows) + row] += b[row];
                }
            }

            ArrayPool<float>.Shared.Return(widened);
        });
    }

    private static void Require(TensorBytes bytes, long expected, string parameter)
    {
        if (bytes.Length != expected)
        {
            throw new ArgumentException($"{bytes.Length} bytes where the shape takes {expected}.", parameter);
        }
    }

    private sealed class DenseMatrix : WeightMatrix
    {
        private readonly ElementType type;
        private readonly TensorBytes bytes;

        public DenseMatrix(ElementType type, int rows, int columns, TensorBytes bytes)
            : base(rows, columns)
        {
            if (!type.IsWeightFloat())
            {
                throw new ArgumentException($"{type.SafetensorsName()} is no weight type; F32, F16 and BF16 are.", nameof(type));
            }

            Require(bytes, (long)rows * columns * type.Bytes(), nameof(bytes));
            this.type = type;
            this.bytes = bytes;
        }

        public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet)
        {
            long rowBytes = (long)Columns * type.Bytes();
            ElementConversion.ToSingle(type, bytes.Span(first * rowBytes, checked((int)(count * rowBytes))), target, instructionSet);
        }
    }

    private sealed class Fp8Matrix : WeightMatrix
    {
        private readonly BlockShape block;
        private readonly TensorBytes codes, scales;
        private readonly ElementType scaleType;

        public Fp8Matrix(int rows, int columns, BlockShape block, TensorBytes codes, ElementType scaleType, TensorBytes scales)
            : base(rows, columns)
        {
            (int gridRows, int gridColumns) = block.GridOf(rows, columns);
            Require(codes, (long)rows * columns, nameof(codes));
            Require(scales, (long)gridRows * gridColumns * scaleType.Bytes(), nameof(scales));
            (this.block, this.codes, this.scaleType, this.scales) = (block, codes, scaleType, scales);
        }

        public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet)
        {
            // Row by row: the scales of a row are those of its block row.
            int gridColumns = block.GridOf(Rows, Columns).Columns;
            int scaleBytes = gridColumns * scaleType.Bytes();
            for (int row = first; row < first + count; row++)
            {
                Fp8Block.Decode(
                    scaleType, codes.Span((long)row * Columns, Columns), scales.Span((long)(row / block.Rows) * scaleBytes, scaleBytes),
                    1, Columns, block, target.Slice((row - first) * Columns, Columns), instructionSet);
            }
        }
    }
}

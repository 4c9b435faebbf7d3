using System.Numerics;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>
/// Sums and sums of squares of the columns of a matrix. A column's rows are added up in binary64, in their order; the sum is added to the total in binary64 and the total rounded to binary32
/// once. Squares of binary32 values are exact in binary64, so results do not depend on the instruction set, nor on the number of threads, who share the columns.
/// </summary>
public static class ColumnSums
{
    // Two sums of so many binary64 values stay in the first-level cache beside a few rows.
    private const int ColumnsPerTask = 128;

    /// <summary>sums[c] += Σ x[r, c] and squares[c] += Σ x[r, c]².</summary>
    /// <param name="rows">x, row by row.</param>
    /// <param name="sums">As many as there are columns.</param>
    /// <param name="squares">As many as there are columns.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Add(ReadOnlyMemory<float> rows, Memory<float> sums, Memory<float> squares, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        if (sums.Length == 0 || sums.Length != squares.Length || rows.Length % sums.Length != 0)
        {
            throw new ArgumentException($"{rows.Length} values are no rows of {sums.Length} columns, or {squares.Length} squares do not fit.", nameof(rows));
        }

        compute.Run((sums.Length + ColumnsPerTask - 1) / ColumnsPerTask, new Work(rows, sums, squares, compute.InstructionSet));
    }

    private readonly struct Work(ReadOnlyMemory<float> rows, Memory<float> sums, Memory<float> squares, InstructionSet set) : IParallelWork
    {
        public void Run(int task)
        {
            int width = sums.Length, first = task * ColumnsPerTask, columns = Math.Min(ColumnsPerTask, width - first);
            Span<double> sum = stackalloc double[ColumnsPerTask], square = stackalloc double[ColumnsPerTask];
            sum.Clear();
            square.Clear();
            for (ReadOnlySpan<float> row = rows.Span; !row.IsEmpty; row = row[width..])
            {
                AddRow(row.Slice(first, columns), sum, square, set);
            }

            Total(sum[..columns], sums.Span.Slice(first, columns));
            Total(square[..columns], squares.Span.Slice(first, columns));
        }

        private static void AddRow(ReadOnlySpan<float> row, Span<double> sum, Span<double> square, InstructionSet set)
        {
            int i = 0, half = Vector<double>.Count;
            for (; set != InstructionSet.Scalar && i <= row.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                Vector.Widen(new Vector<float>(row[i..]), out Vector<double> low, out Vector<double> high);
                Add(low, sum[i..], square[i..]);
                Add(high, sum[(i + half)..], square[(i + half)..]);
            }

            for (; i < row.Length; i++)
            {
                double value = row[i];
                sum[i] += value;
                square[i] += value * value;
            }
        }

        private static void Add(Vector<double> value, Span<double> sum, Span<double> square)
        {
            (new Vector<double>(sum) + value).CopyTo(sum);
            (new Vector<double>(square) + (value * value)).CopyTo(square);
        }

        private static void Total(ReadOnlySpan<double> added, Span<float> totals)
        {
            for (int i = 0; i < totals.Length; i++)
            {
                totals[i] = (float)(totals[i] + added[i]);
            }
        }
    }
}

using System.Numerics;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>
/// Sums of magnitudes and of squares of the columns of a matrix, in binary64: a column's rows are added to its totals one by one in their order, so that results depend neither on how the rows were cut into
/// calls, nor on threads, who share the columns, nor on the instruction set (squares of binary32 values are exact in binary64, and sums are rounded alike). <see cref="ColumnSums"/> differs: its totals are
/// llama.cpp's, binary32 and signed.
/// </summary>
public static class ColumnStatistics
{
    // A block of rows by so many columns stays in the first-level cache while its columns are gone through.
    private const int ColumnsPerTask = 128, RowsPerBlock = 32;

    /// <summary>magnitudes[c] += Σ w[r] · |x[r, c]| and squares[c] += Σ w[r] · x[r, c]².</summary>
    /// <param name="rows">x, row by row.</param>
    /// <param name="weights">w, one for each row; empty where each counts 1.</param>
    /// <param name="magnitudes">As many as there are columns.</param>
    /// <param name="squares">As many as there are columns.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Add(ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, Memory<double> magnitudes, Memory<double> squares, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        int width = magnitudes.Length;
        if (width == 0 || width != squares.Length || rows.Length % width != 0 || (weights.Length != 0 && weights.Length != rows.Length / width))
        {
            throw new ArgumentException($"{rows.Length} values are no rows of {width} columns, or {squares.Length} squares or {weights.Length} weights do not fit.", nameof(rows));
        }

        compute.Run((width + ColumnsPerTask - 1) / ColumnsPerTask, new Work(rows, weights, magnitudes, squares, compute.InstructionSet));
    }

    private readonly struct Work(ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, Memory<double> magnitudes, Memory<double> squares, InstructionSet set) : IParallelWork
    {
        public void Run(int task)
        {
            int width = magnitudes.Length, first = task * ColumnsPerTask, columns = Math.Min(ColumnsPerTask, width - first), count = rows.Length / width;
            Span<double> magnitude = magnitudes.Span.Slice(first, columns), square = squares.Span.Slice(first, columns);
            for (int row = 0; row < count; row += RowsPerBlock)
            {
                int height = Math.Min(RowsPerBlock, count - row), column = 0;
                ReadOnlySpan<float> block = rows.Span.Slice((row * width) + first, ((height - 1) * width) + columns), each = weights.IsEmpty ? default : weights.Span.Slice(row, height);
                for (; set != InstructionSet.Scalar && column <= columns - Vector<float>.Count; column += Vector<float>.Count)
                {
                    AddVector(block[column..], each, width, height, magnitude[column..], square[column..]);
                }

                for (; column < columns; column++)
                {
                    AddColumn(block[column..], each, width, height, ref magnitude[column], ref square[column]);
                }
            }
        }

        private static void AddVector(ReadOnlySpan<float> block, ReadOnlySpan<float> weights, int width, int height, Span<double> magnitude, Span<double> square)
        {
            int half = Vector<double>.Count;
            Vector<double> lowMagnitude = new(magnitude), highMagnitude = new(magnitude[half..]), lowSquare = new(square), highSquare = new(square[half..]);
            for (int row = 0; row < height; row++)
            {
                Vector.Widen(Vector.Abs(new Vector<float>(block[(row * width)..])), out Vector<double> low, out Vector<double> high);
                if (weights.IsEmpty)
                {
                    (lowMagnitude, highMagnitude, lowSquare, highSquare) = (lowMagnitude + low, highMagnitude + high, lowSquare + (low * low), highSquare + (high * high));
                }
                else
                {
                    double weight = weights[row];
                    (lowMagnitude, highMagnitude) = (lowMagnitude + (low * weight), highMagnitude + (high * weight));
                    (lowSquare, highSquare) = (lowSquare + (low * low * weight), highSquare + (high * high * weight));
                }
            }

            lowMagnitude.CopyTo(magnitude);
            highMagnitude.CopyTo(magnitude[half..]);
            lowSquare.CopyTo(square);
            highSquare.CopyTo(square[half..]);
        }

        private static void AddColumn(ReadOnlySpan<float> block, ReadOnlySpan<float> weights, int width, int height, ref double magnitude, ref double square)
        {
            for (int row = 0; row < height; row++)
            {
                double value = Math.Abs(block[row * width]), weight = weights.IsEmpty ? 1 : weights[row];
                magnitude += value * weight;
                square += value * value * weight;
            }
        }
    }
}

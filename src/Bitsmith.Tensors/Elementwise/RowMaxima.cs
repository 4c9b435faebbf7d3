using System.Numerics;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>The largest magnitude of each row of a matrix.</summary>
public static class RowMaxima
{
    private const int RowsPerTask = 16;

    /// <summary>maxima[r] = max over c of |x[r, c]|; infinity where a value of the row is none, or not a number.</summary>
    /// <param name="rows">x, row by row.</param>
    /// <param name="maxima">As many as there are rows.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Of(ReadOnlyMemory<float> rows, Memory<float> maxima, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        if (maxima.Length == 0 || rows.Length % maxima.Length != 0)
        {
            throw new ArgumentException($"{rows.Length} values are no {maxima.Length} rows.", nameof(rows));
        }

        compute.Run((maxima.Length + RowsPerTask - 1) / RowsPerTask, new Work(rows, maxima, compute.InstructionSet));
    }

    private readonly struct Work(ReadOnlyMemory<float> rows, Memory<float> maxima, InstructionSet set) : IParallelWork
    {
        public void Run(int task)
        {
            int width = rows.Length / maxima.Length, end = Math.Min(maxima.Length, (task + 1) * RowsPerTask);
            for (int row = task * RowsPerTask; row < end; row++)
            {
                maxima.Span[row] = Largest(rows.Span.Slice(row * width, width), set);
            }
        }

        /// <remarks>Magnitudes are ordered as their bits are, as integers; infinity and NaN are behind all numbers.</remarks>
        private static float Largest(ReadOnlySpan<float> row, InstructionSet set)
        {
            int i = 0, largest = 0;
            if (set != InstructionSet.Scalar)
            {
                Vector<int> most = default;
                for (; i <= row.Length - Vector<float>.Count; i += Vector<float>.Count)
                {
                    most = Vector.Max(most, Vector.AsVectorInt32(Vector.Abs(new Vector<float>(row[i..]))));
                }

                for (int lane = 0; lane < Vector<int>.Count; lane++)
                {
                    largest = Math.Max(largest, most[lane]);
                }
            }

            for (; i < row.Length; i++)
            {
                largest = Math.Max(largest, BitConverter.SingleToInt32Bits(row[i]) & int.MaxValue);
            }

            float value = BitConverter.Int32BitsToSingle(largest);
            return float.IsNaN(value) ? float.PositiveInfinity : value;
        }
    }
}

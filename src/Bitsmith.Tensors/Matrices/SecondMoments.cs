using System.Runtime.Intrinsics;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Σ w · xᵀx of rows x, a symmetric matrix [columns × columns] in binary64. Every element is added up row by row: products of binary32 values are exact in binary64, so results depend neither on how rows
/// were cut into calls, nor on threads, who share the elements, nor on the instruction set. Kept as square tiles of the lower triangle in native memory; whoever creates it disposes it.
/// </summary>
public sealed unsafe class SecondMoments : IDisposable
{
    // A tile and two blocks of rows, widened, stay in the second-level cache; a block of rows in the first.
    private const int Tile = 64, RowsPerBlock = 64, Lanes = 4, RowsAtOnce = 4, ColumnsAtOnce = 8;

    private readonly AlignedMemory memory = new();
    private readonly int edge;

    /// <summary>Begins with zeros.</summary>
    /// <param name="columns">Width of the rows.</param>
    public SecondMoments(int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        (Columns, edge) = (columns, (columns + Tile - 1) / Tile);
        for (byte* at = memory.Require(Bytes), end = at + Bytes; at < end;)
        {
            int part = (int)Math.Min(1 << 30, end - at);
            new Span<byte>(at, part).Clear();
            at += part;
        }
    }

    /// <summary>Width of the rows.</summary>
    public int Columns { get; }

    /// <summary>Bytes of memory taken.</summary>
    public long Bytes => BytesOf(Columns);

    private int Tiles => edge * (edge + 1) / 2;

    /// <summary>Bytes that the moments of rows of a width take.</summary>
    public static long BytesOf(int columns)
    {
        long edge = (columns + Tile - 1) / Tile;
        return edge * (edge + 1) / 2 * Tile * Tile * sizeof(double);
    }

    /// <summary>Σ w · x[row] · x[column].</summary>
    public double this[int row, int column]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Columns, nameof(row));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)column, (uint)Columns, nameof(column));
            (row, column) = (Math.Max(row, column), Math.Min(row, column));
            return TileAt(row / Tile, column / Tile)[(row % Tile * Tile) + (column % Tile)];
        }
    }

    /// <summary>Adds rows.</summary>
    /// <param name="rows">x, row by row.</param>
    /// <param name="weights">w, one for each row; empty where each counts 1. w · x is rounded to binary32.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public void Add(ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        if (rows.Length % Columns != 0 || (weights.Length != 0 && weights.Length != rows.Length / Columns))
        {
            throw new ArgumentException($"{rows.Length} values are no rows of {Columns} columns, or {weights.Length} weights do not fit.", nameof(rows));
        }

        compute.Run(Tiles, new Work(this, rows, weights, compute.InstructionSet));
    }

    /// <inheritdoc/>
    public void Dispose() => memory.Dispose();

    private double* TileAt(int row, int column) => (double*)memory.Start + ((((long)row * (row + 1) / 2) + column) * Tile * Tile);

    private readonly struct Work(SecondMoments moments, ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, InstructionSet set) : IParallelWork
    {
        public void Run(int task)
        {
            int row = (int)((Math.Sqrt((8.0 * task) + 1) - 1) / 2);
            row += (row + 1) * (row + 2) / 2 <= task ? 1 : row * (row + 1) / 2 > task ? -1 : 0;
            int column = task - (row * (row + 1) / 2), count = rows.Length / moments.Columns;
            Span<double> scratch = ThreadScratch.Take<double>(2 * RowsPerBlock * Tile);
            fixed (double* left = scratch)
            {
                double* right = left + (RowsPerBlock * Tile), tile = moments.TileAt(row, column);
                for (int first = 0; first < count; first += RowsPerBlock)
                {
                    int height = Math.Min(RowsPerBlock, count - first);
                    Widen(first, height, row * Tile, left, weighted: true);
                    Widen(first, height, column * Tile, right, weighted: false);
                    Multiply(left, right, height, tile);
                }
            }
        }

        /// <summary>Columns of some rows in binary64, zeros behind the last column.</summary>
        private void Widen(int first, int height, int column, double* target, bool weighted)
        {
            int width = moments.Columns, count = Math.Min(Tile, width - column);
            ReadOnlySpan<float> all = rows.Span;
            for (int row = 0; row < height; row++)
            {
                ReadOnlySpan<float> values = all.Slice(((first + row) * width) + column, count);
                Span<double> wide = new(target + (row * Tile), Tile);
                float weight = weighted && !weights.IsEmpty ? weights.Span[first + row] : 1;
                for (int i = 0; i < values.Length; i++)
                {
                    wide[i] = values[i] * weight;
                }

                wide[count..].Clear();
            }
        }

        /// <summary>tile[i, j] += Σ left[row, i] · right[row, j], row by row.</summary>
        private void Multiply(double* left, double* right, int height, double* tile)
        {
            for (int i = 0; i < Tile; i += RowsAtOnce)
            {
                for (int j = 0; j < Tile; j += ColumnsAtOnce)
                {
                    if (set == InstructionSet.Scalar)
                    {
                        MultiplyScalar(left + i, right + j, height, tile + (i * Tile) + j);
                    }
                    else
                    {
                        MultiplyVector(left + i, right + j, height, tile + (i * Tile) + j);
                    }
                }
            }
        }

        private static void MultiplyScalar(double* left, double* right, int height, double* tile)
        {
            for (int i = 0; i < RowsAtOnce; i++)
            {
                for (int j = 0; j < ColumnsAtOnce; j++)
                {
                    double sum = tile[(i * Tile) + j];
                    for (int row = 0; row < height; row++)
                    {
                        sum += left[(row * Tile) + i] * right[(row * Tile) + j];
                    }

                    tile[(i * Tile) + j] = sum;
                }
            }
        }

        private static void MultiplyVector(double* left, double* right, int height, double* tile)
        {
            Vector256<double> a0 = Vector256.Load(tile), a1 = Vector256.Load(tile + Lanes);
            Vector256<double> b0 = Vector256.Load(tile + Tile), b1 = Vector256.Load(tile + Tile + Lanes);
            Vector256<double> c0 = Vector256.Load(tile + (2 * Tile)), c1 = Vector256.Load(tile + (2 * Tile) + Lanes);
            Vector256<double> d0 = Vector256.Load(tile + (3 * Tile)), d1 = Vector256.Load(tile + (3 * Tile) + Lanes);
            for (int row = 0; row < height; row++, left += Tile, right += Tile)
            {
                Vector256<double> low = Vector256.Load(right), high = Vector256.Load(right + Lanes);

                // Whether the product is rounded before the sum makes no difference: it is exact.
                Vector256<double> a = Vector256.Create(left[0]), b = Vector256.Create(left[1]), c = Vector256.Create(left[2]), d = Vector256.Create(left[3]);
                (a0, a1) = (Vector256.MultiplyAddEstimate(a, low, a0), Vector256.MultiplyAddEstimate(a, high, a1));
                (b0, b1) = (Vector256.MultiplyAddEstimate(b, low, b0), Vector256.MultiplyAddEstimate(b, high, b1));
                (c0, c1) = (Vector256.MultiplyAddEstimate(c, low, c0), Vector256.MultiplyAddEstimate(c, high, c1));
                (d0, d1) = (Vector256.MultiplyAddEstimate(d, low, d0), Vector256.MultiplyAddEstimate(d, high, d1));
            }

            a0.Store(tile);
            a1.Store(tile + Lanes);
            b0.Store(tile + Tile);
            b1.Store(tile + Tile + Lanes);
            c0.Store(tile + (2 * Tile));
            c1.Store(tile + (2 * Tile) + Lanes);
            d0.Store(tile + (3 * Tile));
            d1.Store(tile + (3 * Tile) + Lanes);
        }
    }
}

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
    // A block of rows of a tile stays in the first-level cache.
    private const int Tile = MomentTiles.Size, RowsPerBlock = 64;

    private readonly MomentTiles tiles;

    /// <summary>Begins with zeros.</summary>
    /// <param name="columns">Width of the rows.</param>
    public SecondMoments(int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        (Columns, tiles) = (columns, new MomentTiles(columns));
    }

    /// <summary>Width of the rows.</summary>
    public int Columns { get; }

    /// <summary>Bytes of memory taken.</summary>
    public long Bytes => BytesOf(Columns);

    /// <summary>Bytes that the moments of rows of a width take.</summary>
    public static long BytesOf(int columns) => MomentTiles.BytesOf(columns);

    /// <summary>Σ w · x[row] · x[column].</summary>
    public double this[int row, int column]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Columns, nameof(row));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)column, (uint)Columns, nameof(column));
            (row, column) = (Math.Max(row, column), Math.Min(row, column));
            return tiles.At(row / Tile, column / Tile)[(row % Tile * Tile) + (column % Tile)];
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

        compute.Run(tiles.Count, new Work(this, rows, weights, compute.InstructionSet));
    }

    /// <inheritdoc/>
    public void Dispose() => tiles.Dispose();

    private readonly struct Work(SecondMoments moments, ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, InstructionSet set) : IParallelWork
    {
        public void Run(int task)
        {
            (int row, int column) = MomentTiles.Place(task);
            int count = rows.Length / moments.Columns;
            Span<double> scratch = ThreadScratch.Take<double>(2 * RowsPerBlock * Tile);
            fixed (double* left = scratch)
            {
                double* right = left + (RowsPerBlock * Tile), tile = moments.tiles.At(row, column);
                for (int first = 0; first < count; first += RowsPerBlock)
                {
                    int height = Math.Min(RowsPerBlock, count - first);
                    Widen(first, height, row * Tile, left, weighted: true);
                    Widen(first, height, column * Tile, right, weighted: false);

                    // Whether the product is rounded before the sum makes no difference: it is exact.
                    MomentTiles.Multiply(left, right, height, tile, set);
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
    }
}

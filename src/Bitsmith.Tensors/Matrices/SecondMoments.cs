using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Σ w · xᵀx of rows x, a symmetric matrix [columns × columns]. Rows are added up 64 at a time in binary32, in their order, products fused where the instruction set can; the sums of 64 rows in binary64. Which 64 rows
/// these are depends on the rows alone, so results depend neither on how rows were cut into calls nor on threads, who share the elements; they may on the instruction set. Products beyond binary32 become infinite. Kept as square tiles of the lower triangle in
/// native memory; whoever creates it disposes it.
/// </summary>
public sealed unsafe class SecondMoments : IDisposable
{
    private const int Tile = MomentTiles.Size, BlockRows = 64;

    // Rows that wait until there are so many that a tile's way through memory is worth it: whole blocks.
    private const int WaitingRows = 8 * BlockRows;

    private readonly MomentTiles tiles;
    private readonly float[] waiting, counts = new float[WaitingRows];
    private int count;

    /// <summary>Begins with zeros.</summary>
    /// <param name="columns">Width of the rows.</param>
    public SecondMoments(int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        (Columns, tiles, waiting) = (columns, new MomentTiles(columns), new float[WaitingRows * columns]);
    }

    /// <summary>Width of the rows.</summary>
    public int Columns { get; }

    /// <summary>Bytes of memory taken.</summary>
    public long Bytes => BytesOf(Columns);

    /// <summary>The lower triangle; what lies outside the matrix is zero.</summary>
    internal MomentTiles Tiles => count == 0 ? tiles : throw new InvalidOperationException("Rows wait for others; moments are read when they are complete.");

    /// <summary>Bytes that the moments of rows of a width take.</summary>
    public static long BytesOf(int columns) => MomentTiles.BytesOf(columns) + ((long)WaitingRows * columns * sizeof(float));

    /// <summary>Σ w · x[row] · x[column].</summary>
    /// <exception cref="InvalidOperationException">Rows are not added up yet; see <see cref="Complete"/>.</exception>
    public double this[int row, int column]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Columns, nameof(row));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)column, (uint)Columns, nameof(column));
            (row, column) = (Math.Max(row, column), Math.Min(row, column));
            return Tiles.At(row / Tile, column / Tile)[(row % Tile * Tile) + (column % Tile)];
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

        int given = rows.Length / Columns;
        for (int first = 0; first < given;)
        {
            int taken = Math.Min(WaitingRows - count, given - first);
            rows.Span.Slice(first * Columns, taken * Columns).CopyTo(waiting.AsSpan(count * Columns));
            if (weights.IsEmpty)
            {
                counts.AsSpan(count, taken).Fill(1);
            }
            else
            {
                weights.Span.Slice(first, taken).CopyTo(counts.AsSpan(count));
            }

            (count, first) = (count + taken, first + taken);
            if (count == WaitingRows)
            {
                Complete(compute);
            }
        }
    }

    /// <summary>Adds up the rows that wait for others. Rows that come later begin a new block.</summary>
    /// <param name="compute">Threads and kernels.</param>
    public void Complete(ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        if (count > 0)
        {
            compute.Run(tiles.Count, new Work(this, compute.InstructionSet));
            count = 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => tiles.Dispose();

    private readonly struct Work(SecondMoments moments, InstructionSet set) : IParallelWork
    {
        public void Run(int task)
        {
            (int row, int column) = MomentTiles.Place(task);
            const int Block = BlockRows * Tile;
            Span<float> scratch = ThreadScratch.Take<float>((2 * Block) + (Tile * Tile));
            Span<double> tile = new(moments.tiles.At(row, column), Tile * Tile);
            fixed (float* left = scratch)
            {
                float* right = left + Block, sums = right + Block;
                for (int first = 0; first < moments.count; first += BlockRows)
                {
                    int height = Math.Min(BlockRows, moments.count - first);
                    Take(first, height, row * Tile, scratch, isWeighted: true);
                    Take(first, height, column * Tile, scratch[Block..], isWeighted: false);
                    scratch[(2 * Block)..].Clear();
                    Multiply(left, right, height, sums);
                    for (int i = 0; i < tile.Length; i++)
                    {
                        tile[i] += sums[i];
                    }
                }
            }
        }

        /// <summary>sums[i, j] += Σ left[row, i] · right[row, j].</summary>
        private void Multiply(float* left, float* right, int height, float* sums)
        {
            switch (set)
            {
                case InstructionSet.Avx512:
                    PanelProduct.Add<Lanes512>(left, 1, Tile, Tile, right, height, sums);
                    break;
                case InstructionSet.Avx2:
                    PanelProduct.Add<Lanes256>(left, 1, Tile, Tile, right, height, sums);
                    break;
                case InstructionSet.Vector128:
                    PanelProduct.Add<Lanes128>(left, 1, Tile, Tile, right, height, sums);
                    break;
                default:
                    PanelProduct.Add<ScalarLanes>(left, 1, Tile, Tile, right, height, sums);
                    break;
            }
        }

        /// <summary>Columns of the rows, zeros behind the last column.</summary>
        private void Take(int first, int height, int column, Span<float> target, bool isWeighted)
        {
            int width = moments.Columns, taken = Math.Min(Tile, width - column);
            for (int row = 0; row < height; row++)
            {
                Span<float> part = target.Slice(row * Tile, Tile);
                moments.waiting.AsSpan(((first + row) * width) + column, taken).CopyTo(part);
                part[taken..].Clear();
                float weight = moments.counts[first + row];
                for (int i = 0; isWeighted && weight != 1 && i < taken; i++)
                {
                    part[i] *= weight;
                }
            }
        }
    }
}

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Σ w · xᵀx of rows x, a symmetric matrix [columns × columns]. √w · x is rounded to BF16 (nearest even, subnormal values to zero), as the inputs of a model in BF16 are, so that products are exact. 1024 rows at a time
/// are added up in binary32, sixteen sums of 64 rows each and then their total; the totals in binary64. Which rows these are depends on the rows alone, so results depend neither on how rows were cut into calls nor on
/// threads, who share the elements; instruction sets differ in the order of sums. Products beyond binary32 become infinite, those below its normal values may become zero. Kept as square tiles of the lower triangle in
/// native memory; whoever creates it disposes it.
/// </summary>
/// <remarks>The rows that wait are turned: a matrix of their columns times its transpose, which is what the kernels of Linears compute, with <see cref="ComputeOptions.BFloat16Inputs"/> by BF16 dot products.</remarks>
public sealed unsafe class SecondMoments : IDisposable
{
    // So many rows that a tile's way through memory, and the totals of sixteen sums, are worth it.
    private const int Tile = MomentTiles.Size, BlockRows = 1024;

    // Values from a waiting column to the next: a line more than its rows need, so that the columns of a tile do not meet in one cache set.
    private const int Stride = BlockRows + 32;

    private readonly MomentTiles tiles;
    private readonly AlignedMemory waiting = new();
    private int count;

    /// <summary>Begins with zeros.</summary>
    /// <param name="columns">Width of the rows.</param>
    public SecondMoments(int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        (Columns, tiles) = (columns, new MomentTiles(columns));
        waiting.Require(WaitingBytes(columns));
    }

    /// <summary>Width of the rows.</summary>
    public int Columns { get; }

    /// <summary>Bytes of memory taken.</summary>
    public long Bytes => BytesOf(Columns);

    /// <summary>The lower triangle; what lies outside the matrix is zero.</summary>
    internal MomentTiles Tiles => count == 0 ? tiles : throw new InvalidOperationException("Rows wait for others; moments are read when they are complete.");

    /// <summary>Bytes that the moments of rows of a width take.</summary>
    public static long BytesOf(int columns) => MomentTiles.BytesOf(columns) + WaitingBytes(columns);

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
    /// <param name="weights">w, not negative, one for each row; empty where each counts 1. √w · x is rounded to binary32 before it is to BF16.</param>
    /// <param name="compute">Threads and kernels; the same for all rows.</param>
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
            int taken = Math.Min(BlockRows - count, given - first);
            Turning turning = new(this, rows.Slice(first * Columns, taken * Columns), weights.IsEmpty ? weights : weights.Slice(first, taken), compute.InstructionSet);
            compute.Run((Columns + Tile - 1) / Tile, turning);
            (count, first) = (count + taken, first + taken);
            if (count == BlockRows)
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
            compute.Run(tiles.Count, new Products(this, compute));
            count = 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        tiles.Dispose();
        waiting.Dispose();
    }

    private static long WaitingBytes(int columns) => (long)columns * Stride * sizeof(ushort);

    /// <summary>The rows that wait, of a column.</summary>
    private ushort* Column(int column) => (ushort*)waiting.Start + ((nint)column * Stride);

    /// <summary>Rounds rows and appends them to those that wait, a tile's columns of them.</summary>
    private readonly struct Turning(SecondMoments moments, ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, InstructionSet set) : IParallelWork
    {
        [SkipLocalsInit]
        public void Run(int task)
        {
            const int Exponent = 0x7F80;
            int columns = moments.Columns, first = task * Tile, width = Math.Min(Tile, columns - first);
            Span<float> weighted = stackalloc float[Tile];
            Span<ushort> rounded = stackalloc ushort[Tile];
            ushort* target = moments.Column(first) + moments.count;
            for (int row = 0; row < rows.Length / columns; row++, target++)
            {
                scoped ReadOnlySpan<float> values = rows.Span.Slice((row * columns) + first, width);
                if (!weights.IsEmpty && weights.Span[row] != 1)
                {
                    float root = MathF.Sqrt(weights.Span[row]);
                    for (int i = 0; i < width; i++)
                    {
                        weighted[i] = values[i] * root;
                    }

                    values = weighted[..width];
                }

                ElementConversion.FromSingle(ElementType.BF16, values, MemoryMarshal.AsBytes(rounded[..width]), set);
                for (int i = 0; i < width; i++)
                {
                    target[i * Stride] = (rounded[i] & Exponent) == 0 ? (ushort)0 : rounded[i];
                }
            }
        }
    }

    /// <summary>Adds what the rows that wait make of a tile.</summary>
    private readonly struct Products(SecondMoments moments, ComputeOptions compute) : IParallelWork
    {
        public void Run(int task)
        {
            (int row, int column) = MomentTiles.Place(task);
            int count = moments.count, height = Math.Min(Tile, moments.Columns - (row * Tile)), width = Math.Min(Tile, moments.Columns - (column * Tile));
            ushort* left = moments.Column(row * Tile), right = moments.Column(column * Tile);
            int panel = compute.BFloat16Inputs ? 0 : Tile * count;
            Span<float> scratch = ThreadScratch.Take<float>((Tile * Tile) + (2 * panel));
            fixed (float* sums = scratch)
            {
                if (compute.BFloat16Inputs)
                {
                    AssembledTiles kernels = new(TileWeights.BFloat16Dot, (byte*)right, Stride);
                    TileProduct.Run(kernels, width, count, (byte*)left, Stride * sizeof(ushort), height, null, sums, Tile);
                }
                else
                {
                    float* lefts = sums + (Tile * Tile), rights = lefts + panel;
                    Widen(left, height, lefts);
                    Widen(right, width, rights);
                    TileProduct.RunSingles(compute.InstructionSet, rights, width, count, lefts, count, height, null, sums, Tile);
                }

                double* tile = moments.tiles.At(row, column);
                for (int i = 0; i < height; i++)
                {
                    Add(new ReadOnlySpan<float>(sums + (i * Tile), width), new Span<double>(tile + (i * Tile), width));
                }
            }
        }

        private void Widen(ushort* source, int columns, float* target)
        {
            for (int i = 0; i < columns; i++, source += Stride, target += moments.count)
            {
                ElementConversion.ToSingle(ElementType.BF16, new ReadOnlySpan<byte>(source, moments.count * sizeof(ushort)), new Span<float>(target, moments.count), compute.InstructionSet);
            }
        }

        private static void Add(ReadOnlySpan<float> sums, Span<double> tile)
        {
            int i = 0;
            for (int half = Vector<double>.Count; i <= sums.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                Vector.Widen(new Vector<float>(sums[i..]), out Vector<double> low, out Vector<double> high);
                (low + new Vector<double>(tile[i..])).CopyTo(tile[i..]);
                (high + new Vector<double>(tile[(i + half)..])).CopyTo(tile[(i + half)..]);
            }

            for (; i < sums.Length; i++)
            {
                tile[i] += sums[i];
            }
        }
    }
}

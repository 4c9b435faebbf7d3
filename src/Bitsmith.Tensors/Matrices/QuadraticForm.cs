using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// d H dᵀ of rows d, where H holds the <see cref="SecondMoments"/> of inputs x: the sum of (d · x)² over all inputs, which is what an error d of a row of weights costs in the row's outputs, without running the
/// inputs again. Working memory is kept between calls; whoever creates it disposes it.
/// </summary>
/// <remarks>
/// <para>H is taken strip by strip, 64 rows of the lower triangle at a time, scaled by a power of two, with what lies left of the diagonal doubled, and rounded to binary32; products and their sums over a part of the
/// columns are binary32, all further sums binary64. With <see cref="ComputeOptions.BFloat16Inputs"/> the strips of <see cref="Evaluate"/>, and d where it meets them, are rounded to BF16, which moves a result by less than
/// 1 % of what it would be if nothing cancelled. A result depends on its row and the kernels alone, not on threads or on the other rows.</para>
/// <para>Cost: rows · columns · (columns + 64) multiplications and additions, half of what the whole of H would take.</para>
/// </remarks>
public sealed unsafe class QuadraticForm : IDisposable
{
    // A part of a strip stays in the second-level cache while rows pass by.
    private const int Tile = MomentTiles.Size, RowsPerTask = 96;

    private readonly AlignedMemory memory = new(), roundedRows = new();

    /// <summary>Bytes of working memory for so many rows and columns, beside some hundred kilobytes for each thread.</summary>
    public static long BytesOf(long rows, int columns) => ((long)Tile * (columns + Tile) * sizeof(float)) + (rows * RowStride(columns));

    /// <summary>Computes d H dᵀ for rows.</summary>
    /// <param name="moments">H.</param>
    /// <param name="rows">d, row by row.</param>
    /// <param name="results">Receives a number for each row.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public void Evaluate(SecondMoments moments, ReadOnlyMemory<float> rows, Memory<double> results, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(moments);
        ArgumentNullException.ThrowIfNull(compute);
        int columns = moments.Columns;
        if (rows.Length != (long)results.Length * columns)
        {
            throw new ArgumentException($"{rows.Length} values are no {results.Length} rows of {columns} columns.", nameof(rows));
        }

        results.Span.Clear();
        double unit = Unit(moments, 0, columns);
        byte* strip = memory.Require(BytesOf(0, columns)), rounded = compute.BFloat16Inputs ? roundedRows.Require(results.Length * RowStride(columns)) : null;
        if (rounded is not null)
        {
            compute.Run(results.Length, new Rounding(rows, columns, rounded, compute.InstructionSet));
        }

        for (int first = 0; first < columns && unit > 0; first += Tile)
        {
            compute.Run((first / Tile) + 1, new Filling(moments, first, unit, strip, compute));
            compute.Run((results.Length + RowsPerTask - 1) / RowsPerTask, new Products(moments, first, rows, rounded, results, strip, compute));
        }

        foreach (ref double result in results.Span)
        {
            result *= unit;
        }
    }

    /// <summary>Computes d B dᵀ for the blocks B of H that lie on its diagonal, each with its columns of d: what errors cost where those of other blocks do not count.</summary>
    /// <param name="moments">H.</param>
    /// <param name="width">Columns of a block; the last one may have fewer.</param>
    /// <param name="rows">d, row by row.</param>
    /// <param name="results">Receives a number for each block of each row.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void EvaluateBlocks(SecondMoments moments, int width, ReadOnlyMemory<float> rows, Memory<double> results, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(moments);
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        int blocks = (moments.Columns + width - 1) / width, count = results.Length / blocks;
        if (results.Length % blocks != 0 || rows.Length != (long)count * moments.Columns)
        {
            throw new ArgumentException($"{rows.Length} values are no rows of {moments.Columns} columns, or {results.Length} results do not fit.", nameof(rows));
        }

        compute.Run(blocks, new Blocks(moments, width, blocks, rows, results, compute));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        memory.Dispose();
        roundedRows.Dispose();
    }

    /// <summary>Bytes from a row rounded to BF16 to the next: a line more than it needs, so that the rows of a tile do not meet in one cache set.</summary>
    private static long RowStride(int columns) => (((long)columns * sizeof(ushort)) + 127) / 64 * 64;

    private static int ElementBytes(ComputeOptions compute) => compute.BFloat16Inputs ? sizeof(ushort) : sizeof(float);

    /// <summary>A power of two near the largest element, which is on the diagonal; zero where all are.</summary>
    private static double Unit(SecondMoments moments, int first, int count)
    {
        double most = 0;
        for (int i = first; i < first + count; i++)
        {
            most = Math.Max(most, moments[i, i]);
        }

        return most > 0 ? Math.ScaleB(1, Math.ILogB(most)) : 0;
    }

    /// <summary>A strip in parts whose rows are as long as those of <see cref="TileProduct"/>'s blocks, each row by row: of the part that has a column, its place in the strip in bytes and its columns.</summary>
    private static (nint Start, int First, int Columns) Part(int column, int height, int stripColumns, int elementBytes)
    {
        int most = TileProduct.BlockBytes / elementBytes, first = column / most * most;
        return ((nint)first * height * elementBytes, first, Math.Min(most, stripColumns - first));
    }

    private static (int Height, int Columns) StripOf(SecondMoments moments, int first)
    {
        int height = Math.Min(Tile, moments.Columns - first);
        return (height, first + height);
    }

    /// <summary>Rounds a row.</summary>
    private readonly struct Rounding(ReadOnlyMemory<float> rows, int columns, byte* target, InstructionSet set) : IParallelWork
    {
        public void Run(int task) =>
            ElementConversion.FromSingle(ElementType.BF16, rows.Span.Slice(task * columns, columns), new Span<byte>(target + (task * RowStride(columns)), columns * sizeof(ushort)), set);
    }

    /// <summary>Rounds a tile of H.</summary>
    private readonly struct Filling(SecondMoments moments, int first, double unit, byte* strip, ComputeOptions compute) : IParallelWork
    {
        [SkipLocalsInit]
        public void Run(int task)
        {
            (int height, int stripColumns) = StripOf(moments, first);
            int column = task * Tile, count = Math.Min(Tile, stripColumns - column), bytes = ElementBytes(compute);
            (nint start, int firstColumn, int width) = Part(column, height, stripColumns, bytes);
            double* source = moments.Tiles.At(first / Tile, task);
            double factor = (column < first ? 2 : 1) / unit;
            Span<float> values = stackalloc float[Tile];
            for (int i = 0; i < height; i++, source += Tile)
            {
                for (int j = 0; j < count; j++)
                {
                    values[j] = (float)(source[j] * factor);
                }

                Span<byte> target = new(strip + start + ((((nint)i * width) + column - firstColumn) * bytes), count * bytes);
                if (compute.BFloat16Inputs)
                {
                    ElementConversion.FromSingle(ElementType.BF16, values[..count], target, compute.InstructionSet);
                }
                else
                {
                    MemoryMarshal.AsBytes(values[..count]).CopyTo(target);
                }
            }
        }
    }

    /// <summary>Adds what a strip makes of some rows.</summary>
    private readonly struct Products(SecondMoments moments, int first, ReadOnlyMemory<float> rows, byte* rounded, Memory<double> results, byte* strip, ComputeOptions compute) : IParallelWork
    {
        public void Run(int task)
        {
            int columns = moments.Columns, row = task * RowsPerTask, count = Math.Min(RowsPerTask, results.Length - row), bytes = ElementBytes(compute);
            (int height, int stripColumns) = StripOf(moments, first);
            Span<float> scratch = ThreadScratch.Take<float>(count * height);
            Span<double> sums = results.Span.Slice(row, count);
            fixed (float* all = rows.Span, products = scratch)
            {
                float* values = all + ((nint)row * columns);
                for (int column = 0; column < stripColumns;)
                {
                    (nint start, _, int width) = Part(column, height, stripColumns, bytes);
                    if (rounded is null)
                    {
                        TileProduct.RunSingles(compute.InstructionSet, (float*)(strip + start), height, width, values + column, columns, count, null, products, height);
                    }
                    else
                    {
                        nint stride = (nint)RowStride(columns);
                        AssembledTiles kernels = new(TileWeights.BFloat16Dot, strip + start, width);
                        TileProduct.Run(kernels, height, width, rounded + (row * stride) + (column * bytes), stride, count, null, products, height);
                    }

                    for (int i = 0; i < count; i++)
                    {
                        float* left = values + ((nint)i * columns) + first, right = products + (i * height);
                        double sum = 0;
                        for (int j = 0; j < height; j++)
                        {
                            sum += (double)left[j] * right[j];
                        }

                        sums[i] += sum;
                    }

                    column += width;
                }
            }
        }
    }

    /// <summary>A block for all rows.</summary>
    private readonly struct Blocks(SecondMoments moments, int width, int blocks, ReadOnlyMemory<float> rows, Memory<double> results, ComputeOptions compute) : IParallelWork
    {
        public void Run(int task)
        {
            int first = task * width, edge = Math.Min(width, moments.Columns - first), count = results.Length / blocks;
            double unit = Unit(moments, first, edge);
            Span<float> scratch = ThreadScratch.Take<float>((edge * edge) + (RowsPerTask * edge));
            Span<double> sums = results.Span;
            for (int i = 0; i < edge * edge; i++)
            {
                scratch[i] = unit > 0 ? (float)(moments[first + (i / edge), first + (i % edge)] / unit) : 0;
            }

            fixed (float* all = rows.Span, block = scratch)
            {
                float* products = block + (edge * edge);
                for (int row = 0; row < count; row += RowsPerTask)
                {
                    int height = Math.Min(RowsPerTask, count - row);
                    float* values = all + ((nint)row * moments.Columns) + first;
                    for (int part = 0; part < edge; part += Tile)
                    {
                        TileProduct.RunSingles(
                            compute.InstructionSet, block + (part * edge), Math.Min(Tile, edge - part), edge, values, moments.Columns, height, null, products + part, edge);
                    }

                    for (int i = 0; i < height; i++)
                    {
                        double sum = 0;
                        for (int j = 0; j < edge; j++)
                        {
                            sum += (double)values[((nint)i * moments.Columns) + j] * products[(i * edge) + j];
                        }

                        sums[((row + i) * blocks) + task] = sum * unit;
                    }
                }
            }
        }
    }
}

using System.Runtime.Intrinsics;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Tensors.Matrices;

/// <summary>The lower triangle of a square matrix of binary64, in native memory: square tiles, each row by row. Whoever creates it disposes it.</summary>
internal sealed unsafe class MomentTiles : IDisposable
{
    /// <summary>Rows and columns of a tile: it and two blocks of as many rows stay in the second-level cache.</summary>
    public const int Size = 64;

    private const int Lanes = 4, RowsAtOnce = 4, ColumnsAtOnce = 8;

    private readonly AlignedMemory memory = new();

    /// <summary>Begins with zeros.</summary>
    /// <param name="columns">Rows and columns of the matrix.</param>
    public MomentTiles(int columns)
    {
        Edge = EdgeOf(columns);
        long bytes = BytesOf(columns);
        for (byte* at = memory.Require(bytes), end = at + bytes; at < end;)
        {
            int part = (int)Math.Min(1 << 30, end - at);
            new Span<byte>(at, part).Clear();
            at += part;
        }
    }

    /// <summary>Tiles along an edge.</summary>
    public int Edge { get; }

    /// <summary>Tiles in all.</summary>
    public int Count => Edge * (Edge + 1) / 2;

    /// <summary>Bytes that a matrix takes.</summary>
    public static long BytesOf(int columns)
    {
        long edge = EdgeOf(columns);
        return edge * (edge + 1) / 2 * Size * Size * sizeof(double);
    }

    /// <summary>Row and column of the tile with a number; the row is not below the column.</summary>
    public static (int Row, int Column) Place(int index)
    {
        int row = (int)((Math.Sqrt((8.0 * index) + 1) - 1) / 2);
        row += (row + 1) * (row + 2) / 2 <= index ? 1 : row * (row + 1) / 2 > index ? -1 : 0;
        return (row, index - (row * (row + 1) / 2));
    }

    /// <summary>A tile; the row is not below the column.</summary>
    public double* At(int row, int column) => (double*)memory.Start + ((((long)row * (row + 1) / 2) + column) * Size * Size);

    /// <inheritdoc/>
    public void Dispose() => memory.Dispose();

    /// <summary>tile[i, j] += Σ left[row, i] · right[row, j], row by row.</summary>
    /// <param name="left">height × <see cref="Size"/>.</param>
    /// <param name="right">height × <see cref="Size"/>.</param>
    /// <param name="height">Rows.</param>
    /// <param name="tile"><see cref="Size"/> × <see cref="Size"/>.</param>
    /// <param name="set">Kernels; products are fused where it can, which shows only where they are not exact.</param>
    public static void Multiply(double* left, double* right, int height, double* tile, InstructionSet set)
    {
        for (int i = 0; i < Size; i += RowsAtOnce)
        {
            for (int j = 0; j < Size; j += ColumnsAtOnce)
            {
                if (set == InstructionSet.Scalar)
                {
                    MultiplyScalar(left + i, right + j, height, tile + (i * Size) + j);
                }
                else
                {
                    MultiplyVector(left + i, right + j, height, tile + (i * Size) + j);
                }
            }
        }
    }

    /// <summary>A tile A = UᵀU becomes U; what is below the diagonal becomes zero.</summary>
    /// <param name="tile">Positive definite; its upper triangle is read.</param>
    /// <exception cref="ArithmeticException">It is not positive definite.</exception>
    public static void Factorize(double* tile)
    {
        for (int i = 0; i < Size; i++)
        {
            double* row = tile + (i * Size);
            if (!(row[i] > 0))
            {
                throw new ArithmeticException($"A pivot of the second moments is {row[i]} although they were damped.");
            }

            double pivot = Math.Sqrt(row[i]);
            new Span<double>(row, i).Clear();
            for (int j = i; j < Size; j++)
            {
                row[j] /= pivot;
            }

            for (int below = i + 1; below < Size; below++)
            {
                double* other = tile + (below * Size);
                for (int j = below; j < Size; j++)
                {
                    other[j] -= row[below] * row[j];
                }
            }
        }
    }

    /// <summary>A tile B becomes X with UᵀX = B.</summary>
    /// <param name="factor">U, upper triangular.</param>
    /// <param name="tile">B.</param>
    public static void Solve(double* factor, double* tile)
    {
        for (int i = 0; i < Size; i++)
        {
            double* row = tile + (i * Size);
            for (int above = 0; above < i; above++)
            {
                double* other = tile + (above * Size);
                double factorAt = factor[(above * Size) + i];
                for (int j = 0; j < Size; j++)
                {
                    row[j] -= factorAt * other[j];
                }
            }

            double pivot = factor[(i * Size) + i];
            for (int j = 0; j < Size; j++)
            {
                row[j] /= pivot;
            }
        }
    }

    private static int EdgeOf(int columns) => (columns + Size - 1) / Size;

    private static void MultiplyScalar(double* left, double* right, int height, double* tile)
    {
        for (int i = 0; i < RowsAtOnce; i++)
        {
            for (int j = 0; j < ColumnsAtOnce; j++)
            {
                double sum = tile[(i * Size) + j];
                for (int row = 0; row < height; row++)
                {
                    sum += left[(row * Size) + i] * right[(row * Size) + j];
                }

                tile[(i * Size) + j] = sum;
            }
        }
    }

    private static void MultiplyVector(double* left, double* right, int height, double* tile)
    {
        Vector256<double> a0 = Vector256.Load(tile), a1 = Vector256.Load(tile + Lanes);
        Vector256<double> b0 = Vector256.Load(tile + Size), b1 = Vector256.Load(tile + Size + Lanes);
        Vector256<double> c0 = Vector256.Load(tile + (2 * Size)), c1 = Vector256.Load(tile + (2 * Size) + Lanes);
        Vector256<double> d0 = Vector256.Load(tile + (3 * Size)), d1 = Vector256.Load(tile + (3 * Size) + Lanes);
        for (int row = 0; row < height; row++, left += Size, right += Size)
        {
            Vector256<double> low = Vector256.Load(right), high = Vector256.Load(right + Lanes);
            Vector256<double> a = Vector256.Create(left[0]), b = Vector256.Create(left[1]), c = Vector256.Create(left[2]), d = Vector256.Create(left[3]);
            (a0, a1) = (Vector256.MultiplyAddEstimate(a, low, a0), Vector256.MultiplyAddEstimate(a, high, a1));
            (b0, b1) = (Vector256.MultiplyAddEstimate(b, low, b0), Vector256.MultiplyAddEstimate(b, high, b1));
            (c0, c1) = (Vector256.MultiplyAddEstimate(c, low, c0), Vector256.MultiplyAddEstimate(c, high, c1));
            (d0, d1) = (Vector256.MultiplyAddEstimate(d, low, d0), Vector256.MultiplyAddEstimate(d, high, d1));
        }

        a0.Store(tile);
        a1.Store(tile + Lanes);
        b0.Store(tile + Size);
        b1.Store(tile + Size + Lanes);
        c0.Store(tile + (2 * Size));
        c1.Store(tile + (2 * Size) + Lanes);
        d0.Store(tile + (3 * Size));
        d1.Store(tile + (3 * Size) + Lanes);
    }
}

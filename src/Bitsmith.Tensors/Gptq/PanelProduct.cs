using System.Runtime.CompilerServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Gptq;

/// <summary>Products of a large matrix of binary32 and a panel: columns of 64 numbers, one for each of 64 rows of weights.</summary>
internal static unsafe class PanelProduct
{
    /// <summary>Rows of weights in a panel.</summary>
    public const int Rows = Vectors * Width;

    private const int Width = LaneMath.Width, Vectors = 4, MatrixRows = 4;

    // Numbers of the panel that stay in the first-level cache, or near it, while the rows of the matrix meet them.
    private const int Chunk = 128;

    /// <summary>sums[i] += Σ matrix[i, j] · panel[j], in ascending order of j, products fused where the instruction set can.</summary>
    /// <param name="matrix">Its first element.</param>
    /// <param name="stride">Elements between its rows.</param>
    /// <param name="height">Rows; a multiple of 4.</param>
    /// <param name="panel">count × 64.</param>
    /// <param name="count">Columns of the matrix.</param>
    /// <param name="sums">height × 64.</param>
    public static void Add<TLanes>(float* matrix, nint stride, int height, float* panel, int count, float* sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        for (int first = 0; first < count; first += Chunk)
        {
            int width = Math.Min(Chunk, count - first);
            for (int row = 0; row < height; row += MatrixRows)
            {
                AddRows<TLanes>(matrix + (row * stride) + first, stride, panel + ((nint)first * Rows), width, sums + (row * Rows));
            }
        }
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static void AddRows<TLanes>(float* matrix, nint stride, float* panel, int count, float* sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        float* second = matrix + stride, third = second + stride, fourth = third + stride, s1 = sums + Rows, s2 = s1 + Rows, s3 = s2 + Rows;
        TLanes a0 = TLanes.Load32(in sums[0]), a1 = TLanes.Load32(in sums[Width]), a2 = TLanes.Load32(in sums[2 * Width]), a3 = TLanes.Load32(in sums[3 * Width]);
        TLanes b0 = TLanes.Load32(in s1[0]), b1 = TLanes.Load32(in s1[Width]), b2 = TLanes.Load32(in s1[2 * Width]), b3 = TLanes.Load32(in s1[3 * Width]);
        TLanes c0 = TLanes.Load32(in s2[0]), c1 = TLanes.Load32(in s2[Width]), c2 = TLanes.Load32(in s2[2 * Width]), c3 = TLanes.Load32(in s2[3 * Width]);
        TLanes d0 = TLanes.Load32(in s3[0]), d1 = TLanes.Load32(in s3[Width]), d2 = TLanes.Load32(in s3[2 * Width]), d3 = TLanes.Load32(in s3[3 * Width]);
        for (int j = 0; j < count; j++, panel += Rows)
        {
            TLanes x0 = TLanes.Load32(in panel[0]), x1 = TLanes.Load32(in panel[Width]), x2 = TLanes.Load32(in panel[2 * Width]), x3 = TLanes.Load32(in panel[3 * Width]);
            TLanes factor = LaneMath.Single<TLanes>(matrix[j]);
            (a0, a1, a2, a3) = (TLanes.MultiplyAddF(factor, x0, a0), TLanes.MultiplyAddF(factor, x1, a1), TLanes.MultiplyAddF(factor, x2, a2), TLanes.MultiplyAddF(factor, x3, a3));
            factor = LaneMath.Single<TLanes>(second[j]);
            (b0, b1, b2, b3) = (TLanes.MultiplyAddF(factor, x0, b0), TLanes.MultiplyAddF(factor, x1, b1), TLanes.MultiplyAddF(factor, x2, b2), TLanes.MultiplyAddF(factor, x3, b3));
            factor = LaneMath.Single<TLanes>(third[j]);
            (c0, c1, c2, c3) = (TLanes.MultiplyAddF(factor, x0, c0), TLanes.MultiplyAddF(factor, x1, c1), TLanes.MultiplyAddF(factor, x2, c2), TLanes.MultiplyAddF(factor, x3, c3));
            factor = LaneMath.Single<TLanes>(fourth[j]);
            (d0, d1, d2, d3) = (TLanes.MultiplyAddF(factor, x0, d0), TLanes.MultiplyAddF(factor, x1, d1), TLanes.MultiplyAddF(factor, x2, d2), TLanes.MultiplyAddF(factor, x3, d3));
        }

        Store(a0, a1, a2, a3, sums);
        Store(b0, b1, b2, b3, s1);
        Store(c0, c1, c2, c3, s2);
        Store(d0, d1, d2, d3, s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TLanes>(TLanes first, TLanes second, TLanes third, TLanes fourth, float* target)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes.Store32(first, ref target[0]);
        TLanes.Store32(second, ref target[Width]);
        TLanes.Store32(third, ref target[2 * Width]);
        TLanes.Store32(fourth, ref target[3 * Width]);
    }
}

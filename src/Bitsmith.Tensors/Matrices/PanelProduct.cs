using System.Runtime.CompilerServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>Products of a matrix of binary32 and a panel: rows of 64 numbers.</summary>
internal static unsafe class PanelProduct
{
    /// <summary>Numbers in a row of a panel.</summary>
    public const int Width = Vectors * Lanes;

    private const int Lanes = LaneMath.Width, Vectors = 4, MatrixRows = 4;

    // Numbers of the panel that stay in the first-level cache, or near it, while the rows of the matrix meet them.
    private const int Chunk = 128;

    /// <summary>sums[i] += Σ matrix[i, j] · panel[j], in ascending order of j, products fused where the instruction set can.</summary>
    /// <param name="matrix">Its first element.</param>
    /// <param name="stride">Elements from a row to the next.</param>
    /// <param name="step">Elements from a column to the next.</param>
    /// <param name="height">Rows; a multiple of 4.</param>
    /// <param name="panel">count × 64.</param>
    /// <param name="count">Columns of the matrix.</param>
    /// <param name="sums">height × 64.</param>
    public static void Add<TLanes>(float* matrix, nint stride, nint step, int height, float* panel, int count, float* sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        for (int first = 0; first < count; first += Chunk)
        {
            int width = Math.Min(Chunk, count - first);
            for (int row = 0; row < height; row += MatrixRows)
            {
                AddRows<TLanes>(matrix + (row * stride) + (first * step), stride, step, panel + ((nint)first * Width), width, sums + (row * Width));
            }
        }
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static void AddRows<TLanes>(float* matrix, nint stride, nint step, float* panel, int count, float* sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        float* second = matrix + stride, third = second + stride, fourth = third + stride, s1 = sums + Width, s2 = s1 + Width, s3 = s2 + Width;
        TLanes a0 = TLanes.Load32(in sums[0]), a1 = TLanes.Load32(in sums[Lanes]), a2 = TLanes.Load32(in sums[2 * Lanes]), a3 = TLanes.Load32(in sums[3 * Lanes]);
        TLanes b0 = TLanes.Load32(in s1[0]), b1 = TLanes.Load32(in s1[Lanes]), b2 = TLanes.Load32(in s1[2 * Lanes]), b3 = TLanes.Load32(in s1[3 * Lanes]);
        TLanes c0 = TLanes.Load32(in s2[0]), c1 = TLanes.Load32(in s2[Lanes]), c2 = TLanes.Load32(in s2[2 * Lanes]), c3 = TLanes.Load32(in s2[3 * Lanes]);
        TLanes d0 = TLanes.Load32(in s3[0]), d1 = TLanes.Load32(in s3[Lanes]), d2 = TLanes.Load32(in s3[2 * Lanes]), d3 = TLanes.Load32(in s3[3 * Lanes]);
        for (nint j = 0; j < count * step; j += step, panel += Width)
        {
            TLanes x0 = TLanes.Load32(in panel[0]), x1 = TLanes.Load32(in panel[Lanes]), x2 = TLanes.Load32(in panel[2 * Lanes]), x3 = TLanes.Load32(in panel[3 * Lanes]);
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
        TLanes.Store32(second, ref target[Lanes]);
        TLanes.Store32(third, ref target[2 * Lanes]);
        TLanes.Store32(fourth, ref target[3 * Lanes]);
    }
}

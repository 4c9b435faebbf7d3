using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Products of bfloat16 values in the order of oneDNN on a CPU with BF16 dot products, which PyTorch uses there: each output is one binary32 sum that takes the columns in pairs, of each pair the second
/// first (VDPBF16PS), and begins anew after so many columns; the sums are then added. Products of two bfloat16 values are exact in binary32, so every instruction set gives the same bits.
/// </summary>
/// <remarks>The instruction takes subnormal values for zero, this does not.</remarks>
internal static class PairedProduct
{
    /// <summary>
    /// Columns after which the sums of matrix products begin anew. oneDNN takes 512 for a single token and for up to 1024 columns, and 1024 for several tokens with more columns, which is not followed: a token's
    /// bits would depend on its batch.
    /// </summary>
    public const int SumColumns = 512;

    // Rows of A that share a load of B.
    private const int Tile = 4;

    /// <summary>C[row, column] = Σ over k of A[row, k] · B[k, column]. Columns come in vectors of sixteen: column vector j of B's row k is at k × step + j × jump.</summary>
    /// <param name="a">A.</param>
    /// <param name="aStride">Values from a row of A to the next.</param>
    /// <param name="rows">Rows of A and C.</param>
    /// <param name="b">B.</param>
    /// <param name="step">See above.</param>
    /// <param name="jump">See above.</param>
    /// <param name="vectors">Column vectors of B and C.</param>
    /// <param name="count">Values in a row of A, at least 1.</param>
    /// <param name="sumColumns">Values after which a sum begins anew, an even number.</param>
    /// <param name="c">C.</param>
    /// <param name="cStride">Values from a row of C to the next.</param>
    /// <param name="instructionSet">The kernels.</param>
    public static void Run(
        ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int jump, int vectors, int count, int sumColumns, Span<float> c, int cStride, InstructionSet instructionSet)
    {
        for (int row = 0; row < rows; row += Tile)
        {
            int tile = Math.Min(Tile, rows - row);
            for (int vector = 0; vector < vectors; vector++)
            {
                ReadOnlySpan<float> left = a[(row * aStride)..], right = b[(vector * jump)..];
                Span<float> sums = c[((row * cStride) + (vector * LaneMath.Width))..];
                for (int first = 0; first < count; first += sumColumns)
                {
                    Add(left[first..], aStride, tile, right[(first * step)..], step, Math.Min(sumColumns, count - first), sums, cStride, first > 0, instructionSet);
                }
            }
        }
    }

    private static void Add(
        ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int count, Span<float> c, int cStride, bool adds, InstructionSet instructionSet)
    {
        switch (instructionSet)
        {
            case InstructionSet.Avx512:
                AddLanes<Lanes512>(a, aStride, rows, b, step, count, c, cStride, adds);
                break;
            case InstructionSet.Avx2:
                AddLanes<Lanes256>(a, aStride, rows, b, step, count, c, cStride, adds);
                break;
            case InstructionSet.Vector128:
                AddLanes<Lanes128>(a, aStride, rows, b, step, count, c, cStride, adds);
                break;
            default:
                AddScalar(a, aStride, rows, b, step, count, c, cStride, adds);
                break;
        }
    }

    /// <summary>The definition.</summary>
    private static void AddScalar(ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int count, Span<float> c, int cStride, bool adds)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int lane = 0; lane < LaneMath.Width; lane++)
            {
                float sum = 0;
                for (int k = 0; k < count; k += 2)
                {
                    if (k + 1 < count)
                    {
                        sum += a[(row * aStride) + k + 1] * b[((k + 1) * step) + lane];
                    }

                    sum += a[(row * aStride) + k] * b[(k * step) + lane];
                }

                c[(row * cStride) + lane] = adds ? c[(row * cStride) + lane] + sum : sum;
            }
        }
    }

    private static void AddLanes<TLanes>(ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int count, Span<float> c, int cStride, bool adds)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float left = ref MemoryMarshal.GetReference(a), right = ref MemoryMarshal.GetReference(b);
        TLanes s0 = TLanes.Broadcast(0), s1 = s0, s2 = s0, s3 = s0;
        if (rows == Tile)
        {
            for (int k = 0; k < count; k += 2)
            {
                if (k + 1 < count)
                {
                    Four(ref Unsafe.Add(ref left, k + 1), aStride, At(ref right, (k + 1) * step), ref s0, ref s1, ref s2, ref s3);
                }

                Four(ref Unsafe.Add(ref left, k), aStride, At(ref right, k * step), ref s0, ref s1, ref s2, ref s3);
            }

            Put(s0, c, adds);
            Put(s1, c[cStride..], adds);
            Put(s2, c[(2 * cStride)..], adds);
            Put(s3, c[(3 * cStride)..], adds);
            return;
        }

        for (int row = 0; row < rows; row++)
        {
            ref float factors = ref Unsafe.Add(ref left, row * aStride);
            TLanes sum = TLanes.Broadcast(0);
            for (int k = 0; k < count; k += 2)
            {
                if (k + 1 < count)
                {
                    sum = TLanes.MultiplyAddF(Repeat<TLanes>(ref factors, k + 1), At(ref right, (k + 1) * step), sum);
                }

                sum = TLanes.MultiplyAddF(Repeat<TLanes>(ref factors, k), At(ref right, k * step), sum);
            }

            Put(sum, c[(row * cStride)..], adds);
        }

        static TLanes At(ref float place, int offset) => TLanes.Load32(in Unsafe.Add(ref place, offset));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four<TLanes>(ref float a, int stride, TLanes b, ref TLanes s0, ref TLanes s1, ref TLanes s2, ref TLanes s3)
        where TLanes : struct, ILanes16<TLanes>
    {
        s0 = TLanes.MultiplyAddF(Repeat<TLanes>(ref a, 0), b, s0);
        s1 = TLanes.MultiplyAddF(Repeat<TLanes>(ref a, stride), b, s1);
        s2 = TLanes.MultiplyAddF(Repeat<TLanes>(ref a, 2 * stride), b, s2);
        s3 = TLanes.MultiplyAddF(Repeat<TLanes>(ref a, 3 * stride), b, s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Repeat<TLanes>(ref float place, int offset)
        where TLanes : struct, ILanes16<TLanes> => LaneMath.Single<TLanes>(Unsafe.Add(ref place, offset));

    private static void Put<TLanes>(TLanes sum, Span<float> c, bool adds)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float place = ref c[..LaneMath.Width][0];
        TLanes.Store32(adds ? TLanes.AddF(TLanes.Load32(in place), sum) : sum, ref place);
    }
}

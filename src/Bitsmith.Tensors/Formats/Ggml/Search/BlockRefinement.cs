using System.Runtime.CompilerServices;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The choice of what sixteen groups store at given block scales.</summary>
internal interface IBlockAssignment
{
    /// <summary>Gives each group its best factor of d, and the sums from which the block's d of least squares follows.</summary>
    /// <param name="again">Whether the factors are those to use, from the call before.</param>
    /// <param name="d">The scale of each group's block.</param>
    /// <param name="factors">Receives, or holds, what the group multiplies d with.</param>
    /// <param name="errors">Receives the group's error, less sum w x^2.</param>
    /// <param name="products">Receives sum w x q, with levels q in units of d.</param>
    /// <param name="squares">Receives sum w q^2, with levels q in units of d.</param>
    void Assign(bool again, scoped ReadOnlySpan<float> d, scoped Span<float> factors, scoped Span<float> errors, scoped Span<float> products, scoped Span<float> squares);
}

/// <summary>Alternates assignment and least squares over whole blocks, as long as what is stored gets better.</summary>
internal static class BlockRefinement
{
    private const int Width = LaneGroups.Width, Rounds = 4;

    /// <summary>Starts from d of each group's block, as stored; leaves the best d and factors.</summary>
    [SkipLocalsInit]
    public static void Run<TAssignment>(scoped TAssignment assignment, in LaneGroups lanes, Span<float> d, Span<float> factors)
        where TAssignment : struct, IBlockAssignment, allows ref struct
    {
        Span<float> sums = stackalloc float[3 * Width], next = stackalloc float[Width], trial = stackalloc float[Width], least = stackalloc float[Width];
        Span<float> errors = sums[..Width], products = sums.Slice(Width, Width), squares = sums[(2 * Width)..];
        least.Fill(float.PositiveInfinity);
        d.CopyTo(next);
        for (int round = 0; round <= Rounds; round++)
        {
            assignment.Assign(round > 0, next, trial, errors, products, squares);
            bool moved = false;
            for (int start = 0; start < lanes.Count; start += lanes.GroupsInBlock)
            {
                float error = 0, product = 0, square = 0;
                for (int group = start; group < start + lanes.GroupsInBlock; group++)
                {
                    error += errors[group];
                    product += products[group];
                    square += squares[group];
                }

                if (error >= least[start])
                {
                    continue;
                }

                least[start] = error;
                next.Slice(start, lanes.GroupsInBlock).CopyTo(d[start..]);
                trial.Slice(start, lanes.GroupsInBlock).CopyTo(factors[start..]);
                float unit = lanes.Units[start], better = square > 0 ? HalfScale.Round(product / square * unit) / unit : 0;
                moved |= better != next[start];
                next.Slice(start, lanes.GroupsInBlock).Fill(better);
            }

            if (!moved)
            {
                break;
            }
        }
    }
}

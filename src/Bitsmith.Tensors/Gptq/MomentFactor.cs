using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Tensors.Gptq;

/// <summary>
/// What GPTQ needs of the second moments H of a Linear's inputs: H itself, damped, and its Cholesky factor. With w the weights and q what they are rounded to, the error of an output is (w - q) H (w - q)ᵀ summed
/// over the tokens; all numbers here are in units of the mean of H's diagonal. Linears with the same inputs share one. Whoever creates it disposes it.
/// </summary>
/// <remarks>
/// <para>H is damped as GPTQ does (Frantar and others, arXiv 2210.17323): a share of the diagonal's mean is added to the diagonal. Inputs that were all zero make it the identity: plain rounding.</para>
/// <para>
/// The columns are taken in ascending order of H's diagonal, and rounded from the last to the first, so that columns that count most are rounded first. With H = L Lᵀ in this order the error is |(w - q) L|²,
/// and the best for column p, the columns behind it being rounded, is the code nearest to w_p + Σ (w_i - q_i) L_ip / L_pp over i > p: GPTQ's own numbers (arXiv 2307.13304), without the inverse of H.
/// </para>
/// <para>L is computed in binary64, tile by tile in a fixed order, so that it does not depend on threads; products may be fused, so the last bit may differ between instruction sets. Kept as binary32.</para>
/// <para>8 bytes for each element of H stay; while it is made, 4 more, and the moments' own 4.</para>
/// </remarks>
public sealed unsafe class MomentFactor : IDisposable
{
    private const int Tile = MomentTiles.Size;

    private readonly AlignedMemory moments = new(), factor = new();
    private readonly int[] order;
    private readonly float[] diagonal;

    /// <summary>Factors second moments.</summary>
    /// <param name="source">H.</param>
    /// <param name="factors">What the weights' columns were multiplied with, so that the inputs are divided by it; finite and positive. Empty for ones.</param>
    /// <param name="damping">Share of the diagonal's mean that is added to it; positive.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The factors do not fit, or the damping is not positive, or a moment is no finite number.</exception>
    public MomentFactor(SecondMoments source, ReadOnlySpan<float> factors, double damping, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(damping, 0);
        Columns = source.Columns;
        double[] inverse = new double[Columns], squares = new double[Columns];
        if (factors.Length != 0 && factors.Length != Columns)
        {
            throw new ArgumentException($"There are {factors.Length} factors for {Columns} columns.", nameof(factors));
        }

        for (int i = 0; i < Columns; i++)
        {
            inverse[i] = factors.IsEmpty ? 1 : 1.0 / factors[i];
            squares[i] = source[i, i] * inverse[i] * inverse[i];
            if (!double.IsFinite(squares[i]) || squares[i] < 0)
            {
                throw new ArgumentException($"The second moment of column {i} is {source[i, i]}, its factor 1 / {inverse[i]}; finite numbers are needed.", nameof(source));
            }
        }

        double mean = squares.Sum() / Columns;
        (Unit, Damping) = mean > 0 ? (mean, damping) : (1, 1);
        diagonal = [.. squares.Select(square => (float)(square / Unit))];
        order = [.. Enumerable.Range(0, Columns).OrderBy(column => squares[column])];
        float* values = (float*)moments.Require((long)Columns * Columns * sizeof(float));
        compute.For(Columns, row => Row(source, inverse, row, new Span<float>(values + ((long)row * Columns), Columns)));
        factor.Require((long)Columns * Columns * sizeof(float));
        Factorize(source, inverse, compute);
    }

    /// <summary>Width of the inputs.</summary>
    public int Columns { get; }

    /// <summary>The mean of H's diagonal, in which all else is measured; 1 where that is zero.</summary>
    public double Unit { get; }

    /// <summary>What was added to the diagonal.</summary>
    public double Damping { get; }

    /// <summary>H's diagonal, not damped: how much each column counts by itself.</summary>
    public ReadOnlySpan<float> Diagonal => diagonal;

    /// <summary>Most bytes that making one takes, besides the moments.</summary>
    public static long BytesOf(int columns) => (2L * sizeof(float) * columns * columns) + MomentTiles.BytesOf(columns);

    /// <inheritdoc/>
    public void Dispose()
    {
        moments.Dispose();
        factor.Dispose();
    }

    /// <summary>The column at each place of the order.</summary>
    internal ReadOnlySpan<int> Order => order;

    /// <summary>The damped H, row by row.</summary>
    internal float* Moments => (float*)moments.Start;

    /// <summary>At row p, from element p + 1 on: L_ip / L_pp.</summary>
    internal float* Factor => (float*)factor.Start;

    private double Element(SecondMoments source, double[] inverse, int row, int column) =>
        (source[row, column] * inverse[row] * inverse[column] / Unit) + (row == column ? Damping : 0);

    private void Row(SecondMoments source, double[] inverse, int row, Span<float> target)
    {
        for (int column = 0; column < target.Length; column++)
        {
            target[column] = (float)Element(source, inverse, row, column);
        }
    }

    /// <summary>H = UᵀU with U = Lᵀ upper triangular, by columns of tiles from the left.</summary>
    private void Factorize(SecondMoments source, double[] inverse, ComputeOptions compute)
    {
        using MomentTiles tiles = new(Columns);
        compute.For(tiles.Count, index =>
        {
            // A tile and its mirror image: U's tile [k, i] is where the lower triangle has [i, k].
            (int column, int row) = MomentTiles.Place(index);
            double* tile = tiles.At(column, row);
            for (int i = 0; i < Tile; i++)
            {
                for (int j = 0; j < Tile; j++)
                {
                    int a = (row * Tile) + i, b = (column * Tile) + j;
                    tile[(i * Tile) + j] = a < Columns && b < Columns ? Element(source, inverse, order[a], order[b]) : a == b ? 1 : 0;
                }
            }
        });
        for (int step = 0; step < tiles.Edge; step++)
        {
            int row = step;
            Reduce(tiles, row, row, compute.InstructionSet);
            MomentTiles.Factorize(tiles.At(row, row));
            compute.For(tiles.Edge - row - 1, task =>
            {
                int column = row + 1 + task;
                Reduce(tiles, row, column, compute.InstructionSet);
                MomentTiles.Solve(tiles.At(row, row), tiles.At(column, row));
            });
        }

        float* target = Factor;
        compute.For(Columns, row =>
        {
            double pivot = tiles.At(row / Tile, row / Tile)[(row % Tile * Tile) + (row % Tile)];
            for (int column = row + 1; column < Columns; column++)
            {
                target[((long)row * Columns) + column] = (float)(tiles.At(column / Tile, row / Tile)[(row % Tile * Tile) + (column % Tile)] / pivot);
            }
        });
    }

    /// <summary>U[row, column] -= Σ U[m, row]ᵀ U[m, column] over the rows above.</summary>
    private static void Reduce(MomentTiles tiles, int row, int column, InstructionSet set)
    {
        double* sum = stackalloc double[Tile * Tile];
        new Span<double>(sum, Tile * Tile).Clear();
        for (int above = 0; above < row; above++)
        {
            MomentTiles.Multiply(tiles.At(row, above), tiles.At(column, above), Tile, sum, set);
        }

        double* tile = tiles.At(column, row);
        for (int i = 0; i < Tile * Tile; i++)
        {
            tile[i] -= sum[i];
        }
    }
}

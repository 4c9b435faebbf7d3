using Bitsmith.Checkpoints.Imatrix;

namespace Bitsmith.Quantization.Allocation;

/// <summary>What an importance matrix says of a matrix's inputs.</summary>
/// <param name="Squares">E[x²] of each column; 1 where nothing is known.</param>
/// <param name="Means">E[x] of each column; null where it is not known.</param>
/// <param name="Tokens">Tokens seen; 0 where nothing is known.</param>
internal sealed record InputMoments(float[] Squares, float[]? Means, long Tokens)
{
    /// <summary>The inputs of a tensor's matrix.</summary>
    /// <param name="imatrix">The importance matrix, or null.</param>
    /// <param name="name">The tensor's name.</param>
    /// <param name="matrix">Which of a stack's matrices.</param>
    /// <param name="columns">Columns of the matrix; more than were seen where the rest was added.</param>
    public static InputMoments Of(ImportanceMatrix? imatrix, string name, int matrix, int columns)
    {
        ImatrixEntry? entry = imatrix?.Entries.GetValueOrDefault(name);
        int seen = entry?.Columns ?? 0, count = entry is null ? 0 : entry.Counts[Math.Min(matrix, entry.Counts.Length - 1)];
        if (entry is null || count == 0)
        {
            return new InputMoments([.. Enumerable.Repeat(1f, columns)], null, 0);
        }

        float[] squares = new float[columns];
        float[]? means = entry.Sums is null ? null : new float[columns];
        for (int i = 0; i < Math.Min(seen, columns); i++)
        {
            squares[i] = Math.Max(0, entry.Squares[(matrix * seen) + i] / count);
            if (means is not null)
            {
                means[i] = entry.Sums![(matrix * seen) + i] / count;
            }
        }

        return new InputMoments(squares, means, count);
    }
}

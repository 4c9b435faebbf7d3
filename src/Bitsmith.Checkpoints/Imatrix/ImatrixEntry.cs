namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>What was seen of the inputs of one weight tensor: sums over tokens, for each input column, and for a stack of experts for each expert.</summary>
public sealed class ImatrixEntry
{
    /// <summary>Wraps sums, which are not copied.</summary>
    /// <param name="squares">Σ x² [matrices × columns].</param>
    /// <param name="sums">Σ x [matrices × columns]; null where they were not kept (<c>.dat</c> files, and GGUF files of older programs).</param>
    /// <param name="counts">Tokens that each matrix has seen: one number, or one for each expert of a stack.</param>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public ImatrixEntry(float[] squares, float[]? sums, int[] counts)
    {
        ArgumentNullException.ThrowIfNull(squares);
        ArgumentNullException.ThrowIfNull(counts);
        if (squares.Length == 0 || counts.Length == 0 || squares.Length % counts.Length != 0 || (sums is not null && sums.Length != squares.Length))
        {
            throw new ArgumentException($"{squares.Length} sums of squares, {sums?.Length ?? squares.Length} sums and {counts.Length} counts do not fit together.", nameof(squares));
        }

        (Squares, Sums, Counts) = (squares, sums, counts);
    }

    /// <summary>Σ x² over the tokens [matrices × columns].</summary>
    public float[] Squares { get; }

    /// <summary>Σ x over the tokens [matrices × columns], or null.</summary>
    public float[]? Sums { get; }

    /// <summary>Tokens seen by each matrix.</summary>
    public int[] Counts { get; }

    /// <summary>Input columns of a matrix; of an old <c>.dat</c> file, where experts are not told apart, those of all experts together.</summary>
    public int Columns => Squares.Length / Counts.Length;

    /// <summary>Matrices that have seen no token.</summary>
    public int Unseen => Counts.Count(count => count == 0);

    /// <summary>The mean squares of the inputs, Σ x² / count, which weigh the squared errors of a column's weights. A matrix that has seen no token gets 1 for all columns, as in llama-quantize.</summary>
    /// <returns>[matrices × columns].</returns>
    public float[] Importance()
    {
        float[] importance = new float[Squares.Length];
        for (int i = 0; i < importance.Length; i++)
        {
            int count = Counts[i / Columns];
            importance[i] = count == 0 ? 1 : Squares[i] / count;
        }

        return importance;
    }
}

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>How much each column of a matrix counts when it is encoded: made once, used for all its rows.</summary>
public sealed class ColumnWeights
{
    // Columns of no importance still get the nearest value, at this fraction of the mean importance.
    private const float LeastImportance = 1e-6f;

    private readonly float[] values;

    private ColumnWeights(float[] values) => this.values = values;

    /// <summary>Number of columns.</summary>
    public int Columns => values.Length;

    /// <summary>One factor for each column, positive and about one on average.</summary>
    internal ReadOnlySpan<float> Values => values;

    /// <summary>Takes over importance factors.</summary>
    /// <param name="importance">
    /// One factor for each column, zero or more: the mean square of the input that the column is multiplied with, in any unit. Empty, or all zero: every
    /// column counts the same.
    /// </param>
    /// <param name="columns">Number of columns.</param>
    /// <exception cref="ArgumentException">There is another number of factors, or one is negative, infinite or NaN.</exception>
    public static ColumnWeights Of(ReadOnlySpan<float> importance, int columns)
    {
        float[] weights = new float[columns];
        if (importance.Length != 0 && importance.Length != columns)
        {
            throw new ArgumentException($"There are {importance.Length} importance factors for {columns} columns.", nameof(importance));
        }

        double sum = 0;
        for (int i = 0; i < importance.Length; i++)
        {
            if (!float.IsFinite(importance[i]) || importance[i] < 0)
            {
                throw new ArgumentException($"The importance of column {i} is {importance[i]}; it must be zero or more, and finite.", nameof(importance));
            }

            sum += importance[i];
        }

        for (int i = 0; i < columns; i++)
        {
            weights[i] = sum == 0 ? 1 : (float)(importance[i] * (columns / sum)) + LeastImportance;
        }

        return new ColumnWeights(weights);
    }
}

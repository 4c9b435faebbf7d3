namespace Bitsmith.Tensors.Attention;

/// <summary>The arithmetic of <see cref="AttentionKernel"/>, by instruction set.</summary>
internal interface IAttentionMath
{
    /// <summary>
    /// C[row, column] += Σ over k of A[row, k] · B[k, column], each sum in ascending k onto what C held. Columns come in vectors of sixteen: column vector j of B's row k is at
    /// k × <paramref name="step"/> + j × <paramref name="jump"/>.
    /// </summary>
    static abstract void Multiply(
        ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int jump, int vectors, int count, Span<float> c, int cStride);

    /// <summary>
    /// One step of the online softmax for one query: scores become e^(score - maximum), the running maximum and the sixteen running sums (position p belongs to sum p mod 16) take them in,
    /// and the outputs are scaled to the new maximum.
    /// </summary>
    /// <param name="scores">The visible scores of a block; room for whole groups of sixteen.</param>
    /// <param name="count">How many are visible, at least 1.</param>
    /// <param name="maximum">The running maximum, -∞ at first.</param>
    /// <param name="sums">The running sums, zero at first.</param>
    /// <param name="outputs">The running outputs, zero at first; whole groups of sixteen.</param>
    static abstract void Softmax(Span<float> scores, int count, ref float maximum, Span<float> sums, Span<float> outputs);

    /// <summary>outputs[i] /= divisor, over whole groups of sixteen.</summary>
    static abstract void Divide(Span<float> outputs, float divisor);
}

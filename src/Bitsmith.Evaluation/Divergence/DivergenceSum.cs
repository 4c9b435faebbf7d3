namespace Bitsmith.Evaluation.Divergence;

/// <summary>
/// How far a model's next-token distributions lie from a reference's, over the tokens of a text, with llama-perplexity's definitions (--kl-divergence). Errors are standard errors of means
/// that take tokens as independent.
/// </summary>
public sealed class DivergenceSum
{
    private readonly List<float> values = [];
    private double sum, squares, modelLoss, modelSquares, referenceLoss, products, referenceSquares;
    private int sameTop;

    /// <summary>Tokens added.</summary>
    public int Count => values.Count;

    /// <summary>The KL divergence at each token, in nats, in the order added.</summary>
    public IReadOnlyList<float> Values => values;

    /// <summary>Mean KL divergence, in nats.</summary>
    public Estimate Mean => Of(sum, squares);

    /// <summary>Mean of -log p(the token that follows) of the model; its exponential is the perplexity.</summary>
    public Estimate ModelLoss => Of(modelLoss, modelSquares);

    /// <summary>The same of the reference.</summary>
    public Estimate ReferenceLoss => Of(referenceLoss, referenceSquares);

    /// <summary>Mean of the log of the model's perplexity over the reference's; the error takes into account that both were measured on the same tokens.</summary>
    public Estimate LossDifference
    {
        get
        {
            (Estimate model, Estimate reference) = (ModelLoss, ReferenceLoss);
            double covariance = Count > Estimate.FewestForError ? ((products / Count) - (model.Value * reference.Value)) / (Count - 1) : 0;
            return new Estimate(model.Value - reference.Value, Math.Sqrt(Math.Max(0, (model.Error * model.Error) + (reference.Error * reference.Error) - (2 * covariance))));
        }
    }

    /// <summary>The share of tokens where model and reference find the same one likeliest.</summary>
    public double SameTop => (double)sameTop / Count;

    /// <summary>Adds a token.</summary>
    /// <param name="reference">The reference's log-probabilities of all tokens.</param>
    /// <param name="model">The model's.</param>
    /// <param name="next">The token that follows.</param>
    /// <param name="leastKnown">
    /// Tokens to which the reference gives this log-probability or less do not count: <see cref="LogitsFile.LeastKnown"/> for a reference of 16 bits, nothing for one of full precision.
    /// </param>
    public void Add(ReadOnlySpan<float> reference, ReadOnlySpan<float> model, int next, float leastKnown = float.NegativeInfinity)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(model.Length, reference.Length);
        double divergence = 0;
        (int top, int modelTop) = (0, 0);
        for (int i = 0; i < reference.Length; i++)
        {
            top = reference[i] > reference[top] ? i : top;
            modelTop = model[i] > model[modelTop] ? i : modelTop;
            divergence += reference[i] > leastKnown ? MathF.Exp(reference[i]) * (reference[i] - model[i]) : 0;
        }

        values.Add((float)divergence);
        sum += divergence;
        squares += divergence * divergence;
        double loss = -model[next], expected = -reference[next];
        modelLoss += loss;
        modelSquares += loss * loss;
        referenceLoss += expected;
        referenceSquares += expected * expected;
        products += loss * expected;
        sameTop += top == modelTop ? 1 : 0;
    }

    /// <summary>The divergence that a share of the tokens does not exceed, linear between neighbours.</summary>
    /// <param name="share">From 0, the least, to 1, the largest.</param>
    public float Percentile(double share)
    {
        float[] sorted = [.. values.Order()];
        double place = share * (sorted.Length - 1);
        int below = Math.Min((int)place, sorted.Length - 1), above = Math.Min(below + 1, sorted.Length - 1);
        return (float)(sorted[below] + ((place - below) * (sorted[above] - sorted[below])));
    }

    private Estimate Of(double total, double totalSquares)
    {
        double mean = total / Count, variance = (totalSquares / Count) - (mean * mean);
        return new Estimate(mean, Count > Estimate.FewestForError && variance > 0 ? Math.Sqrt(variance / (Count - 1)) : 0);
    }
}

/// <summary>A mean and its standard error.</summary>
/// <param name="Value">The mean.</param>
/// <param name="Error">The standard error; 0 where there are too few tokens to tell.</param>
public readonly record struct Estimate(double Value, double Error)
{
    internal const int FewestForError = 10;
}

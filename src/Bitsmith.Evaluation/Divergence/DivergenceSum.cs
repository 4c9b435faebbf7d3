namespace Bitsmith.Evaluation.Divergence;

/// <summary>
/// How far a model's next-token distributions lie from a base model's, over the tokens of a text, with llama-perplexity's definitions (--kl-divergence). Errors are standard errors that take tokens as
/// independent; those of ratio and difference take into account that both models saw the same tokens.
/// </summary>
public sealed class DivergenceSum
{
    private readonly List<float> divergences = [], shifts = [];
    private Sums divergence, loss, baseLoss, shift, squaredShift;
    private double products;
    private int sameTop;

    /// <summary>Tokens added.</summary>
    public int Count => divergences.Count;

    /// <summary>The KL divergence at each token, in nats, in the order added.</summary>
    public IReadOnlyList<float> Values => divergences;

    /// <summary>Mean KL divergence, in nats.</summary>
    public Estimate Mean => divergence.Mean(Count);

    /// <summary>Mean of -ln q(the token that follows), q the model's probability.</summary>
    public Estimate Loss => loss.Mean(Count);

    /// <summary>The same of the base model.</summary>
    public Estimate BaseLoss => baseLoss.Mean(Count);

    /// <summary>The model's perplexity.</summary>
    public Estimate Perplexity => Loss.Exponential();

    /// <summary>The base model's perplexity.</summary>
    public Estimate BasePerplexity => BaseLoss.Exponential();

    /// <summary>Correlation of the logarithms of both perplexities; null where one of them has no error.</summary>
    public double? Correlation => Loss.Error > 0 && BaseLoss.Error > 0 ? Covariance / (Loss.Error * BaseLoss.Error) : null;

    /// <summary>Logarithm of the model's perplexity over the base model's.</summary>
    public Estimate LogRatio => new(Loss.Value - BaseLoss.Value, ErrorOfDifference(Loss.Error, BaseLoss.Error, Covariance));

    /// <summary>The model's perplexity over the base model's.</summary>
    public Estimate Ratio => LogRatio.Exponential();

    /// <summary>The model's perplexity less the base model's.</summary>
    public Estimate Difference
    {
        get
        {
            (Estimate perplexity, Estimate other) = (Perplexity, BasePerplexity);
            return new Estimate(perplexity.Value - other.Value, ErrorOfDifference(perplexity.Error, other.Error, perplexity.Value * other.Value * Covariance));
        }
    }

    /// <summary>Mean of Δp = q - p of the token that follows.</summary>
    public Estimate MeanShift => shift.Mean(Count);

    /// <summary>√(mean Δp²).</summary>
    public Estimate RmsShift
    {
        get
        {
            Estimate square = squaredShift.Mean(Count);
            double root = Math.Sqrt(square.Value);
            return new Estimate(root, root > 0 ? 0.5 / root * square.Error : 0);
        }
    }

    /// <summary>The share of tokens where both models find the same one likeliest.</summary>
    public Estimate SameTop
    {
        get
        {
            double share = (double)sameTop / Count;
            return new Estimate(share, Count > 1 ? Math.Sqrt(share * (1 - share) / (Count - 1)) : 0);
        }
    }

    private double Covariance => Count >= Estimate.FewestForError ? ((products / Count) - (Loss.Value * BaseLoss.Value)) / (Count - 1) : 0;

    /// <summary>Adds a token.</summary>
    public void Add(TokenDivergence token)
    {
        double delta = Math.Exp(-token.Loss) - Math.Exp(-token.BaseLoss);
        divergences.Add((float)token.Divergence);
        shifts.Add((float)delta);
        divergence.Add(token.Divergence);
        loss.Add(token.Loss);
        baseLoss.Add(token.BaseLoss);
        products += token.Loss * token.BaseLoss;
        shift.Add(delta);
        squaredShift.Add(delta * delta);
        sameTop += token.SameTop ? 1 : 0;
    }

    /// <summary>All figures.</summary>
    public DivergenceStatistics Statistics() => new(
        Count, Perplexity, BasePerplexity, Correlation, LogRatio, Ratio, Difference, Mean, Distribution.Of(divergences), MeanShift, RmsShift, Distribution.Of(shifts), SameTop);

    private static double ErrorOfDifference(double error, double other, double covariance) => Math.Sqrt(Math.Max(0, (error * error) + (other * other) - (2 * covariance)));

    private struct Sums
    {
        private double sum, squares;

        public void Add(double value) => (sum, squares) = (sum + value, squares + (value * value));

        public readonly Estimate Mean(int count) => Estimate.OfMean(sum, squares, count);
    }
}

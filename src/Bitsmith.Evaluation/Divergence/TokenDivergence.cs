using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>How a model's distribution of a token lies to the base model's.</summary>
/// <param name="Divergence">Σ p · (ln p - ln q), p the base model's and q the model's probabilities, in nats.</param>
/// <param name="Loss">-ln q(the token that follows); NaN where a logit is NaN or infinitely large.</param>
/// <param name="BaseLoss">-ln p(the token that follows); NaN likewise.</param>
/// <param name="SameTop">True where both find the same token the likeliest; of several the first counts.</param>
public readonly record struct TokenDivergence(double Divergence, double Loss, double BaseLoss, bool SameTop)
{
    /// <summary>From the logits of both.</summary>
    /// <param name="baseLogits">The base model's.</param>
    /// <param name="logits">As many of the model.</param>
    /// <param name="next">The token that follows.</param>
    /// <param name="instructionSet">Kernels.</param>
    public static TokenDivergence OfLogits(ReadOnlySpan<float> baseLogits, ReadOnlySpan<float> logits, int next, InstructionSet instructionSet)
    {
        // With x and y the logits less their largest, ln p = x - ln Σ e^x and ln q = y - ln Σ e^y.
        TokenLoss loss = TokenLoss.Of(logits, next, instructionSet);
        float largest = DistributionKernels.Largest(baseLogits, instructionSet);
        (double sum, double differences) = DistributionKernels.WeightedDifferences(baseLogits, largest, logits, loss.Largest, float.NegativeInfinity, instructionSet);
        double logSum = Math.Log(sum);
        return new TokenDivergence(
            (differences / sum) - logSum + loss.LogSum, loss.Loss, largest + logSum - baseLogits[next],
            DistributionKernels.PlaceOf(largest, baseLogits) == DistributionKernels.PlaceOf(loss.Largest, logits));
    }

    /// <summary>From log-probabilities of a <see cref="LogitsFile"/>, those above <see cref="LogitsFile.LeastKnown"/> alone.</summary>
    /// <param name="logProbabilities">The base model's.</param>
    /// <param name="logits">As many logits of the model.</param>
    /// <param name="next">The token that follows.</param>
    /// <param name="instructionSet">Kernels.</param>
    public static TokenDivergence OfKnown(ReadOnlySpan<float> logProbabilities, ReadOnlySpan<float> logits, int next, InstructionSet instructionSet)
    {
        TokenLoss loss = TokenLoss.Of(logits, next, instructionSet);
        (double sum, double differences) = DistributionKernels.WeightedDifferences(logProbabilities, 0, logits, loss.Largest, LogitsFile.LeastKnown, instructionSet);
        float largest = DistributionKernels.Largest(logProbabilities, instructionSet);
        return new TokenDivergence(
            differences + (sum * loss.LogSum), loss.Loss, -logProbabilities[next],
            DistributionKernels.PlaceOf(largest, logProbabilities) == DistributionKernels.PlaceOf(loss.Largest, logits));
    }
}

using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Evaluation.Perplexity;

/// <summary>What a row of logits x says of the token that follows.</summary>
/// <param name="Loss">-ln p(the token), in nats; NaN where a logit is NaN or infinitely large.</param>
/// <param name="Largest">max x.</param>
/// <param name="LogSum">ln Σ e^(x[i] - max x): ln p[i] = x[i] - max x - this.</param>
public readonly record struct TokenLoss(double Loss, float Largest, double LogSum)
{
    /// <summary>Exponentials in binary32, their sum and its logarithm in binary64, as llama-perplexity.</summary>
    /// <param name="logits">x.</param>
    /// <param name="next">The token that follows.</param>
    /// <param name="instructionSet">Kernels.</param>
    public static TokenLoss Of(ReadOnlySpan<float> logits, int next, InstructionSet instructionSet)
    {
        float largest = DistributionKernels.Largest(logits, instructionSet);
        double logSum = Math.Log(DistributionKernels.PowerSum(logits, largest, instructionSet));
        return new TokenLoss(largest + logSum - logits[next], largest, logSum);
    }
}

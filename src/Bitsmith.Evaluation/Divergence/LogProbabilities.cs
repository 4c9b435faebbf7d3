using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>log softmax.</summary>
public static class LogProbabilities
{
    /// <summary>log p[i] = x[i] - max x - log Σ e^(x[j] - max x); exponentials in binary32, their sum and its logarithm in binary64.</summary>
    /// <param name="logits">x.</param>
    /// <param name="logProbabilities">Receives log p; as many.</param>
    /// <param name="instructionSet">Kernels.</param>
    public static void Of(ReadOnlySpan<float> logits, Span<float> logProbabilities, InstructionSet instructionSet)
    {
        float largest = float.NegativeInfinity;
        foreach (float logit in logits)
        {
            largest = MathF.Max(largest, logit);
        }

        for (int i = 0; i < logits.Length; i++)
        {
            logProbabilities[i] = logits[i] - largest;
        }

        ElementwiseKernels.Exp(logProbabilities, logProbabilities, instructionSet);
        double sum = 0;
        foreach (float power in logProbabilities)
        {
            sum += power;
        }

        double normalizer = Math.Log(sum);
        for (int i = 0; i < logits.Length; i++)
        {
            logProbabilities[i] = (float)((double)logits[i] - largest - normalizer);
        }
    }
}

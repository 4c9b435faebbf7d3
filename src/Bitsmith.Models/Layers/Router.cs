using Bitsmith.Models.Architectures;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>
/// Chooses experts, in binary32: s = sigmoid(G x); c = s + correction bias; experts are cut into groups, a group scores the sum of its two largest c, the best groups stay; the largest c
/// among them are chosen, and weighted by s (not c), optionally scaled to sum to 1, times the routed scaling factor. Of equal scores the lower index is chosen.
/// </summary>
/// <param name="gate">G [experts × D].</param>
/// <param name="correction">The correction bias [experts].</param>
/// <param name="config">The numbers.</param>
internal sealed class Router(LayerVector gate, float[] correction, MoeConfig config)
{
    /// <summary>G.</summary>
    public LayerVector Gate => gate;

    /// <summary>Chooses for one token.</summary>
    /// <param name="matrix">G, or what is used in its place.</param>
    /// <param name="input">x [D].</param>
    /// <param name="experts">Receives the experts, in ascending order.</param>
    /// <param name="weights">Receives their weights.</param>
    /// <param name="instructionSet">Kernels.</param>
    public void Choose(ReadOnlySpan<float> matrix, ReadOnlySpan<float> input, Span<int> experts, Span<float> weights, InstructionSet instructionSet)
    {
        Span<float> logits = stackalloc float[correction.Length];
        for (int expert = 0; expert < logits.Length; expert++)
        {
            logits[expert] = DotProduct.Of(input, matrix.Slice(expert * input.Length, input.Length), instructionSet);
        }

        ChooseFrom(logits, experts, weights);
    }

    internal void ChooseFrom(ReadOnlySpan<float> logits, Span<int> experts, Span<float> weights)
    {
        int count = logits.Length, groupSize = count / config.NGroup;
        Span<float> scores = stackalloc float[count], choice = stackalloc float[count];
        for (int expert = 0; expert < count; expert++)
        {
            scores[expert] = 1 / (1 + MathF.Exp(-logits[expert]));
            choice[expert] = scores[expert] + correction[expert];
        }

        if (config.TopkGroup < config.NGroup)
        {
            Span<float> groups = stackalloc float[config.NGroup];
            for (int group = 0; group < groups.Length; group++)
            {
                (float first, float second) = (float.NegativeInfinity, float.NegativeInfinity);
                foreach (float value in choice.Slice(group * groupSize, groupSize))
                {
                    (first, second) = value > first ? (value, first) : (first, MathF.Max(second, value));
                }

                groups[group] = groupSize == 1 ? first : first + second;
            }

            Span<bool> kept = stackalloc bool[groups.Length];
            kept.Clear();
            for (int i = 0; i < config.TopkGroup; i++)
            {
                kept[Largest(groups, kept)] = true;
            }

            for (int expert = 0; expert < count; expert++)
            {
                choice[expert] = kept[expert / groupSize] ? choice[expert] : float.NegativeInfinity;
            }
        }

        Span<bool> chosen = stackalloc bool[count];
        chosen.Clear();
        for (int i = 0; i < experts.Length; i++)
        {
            chosen[Largest(choice, chosen)] = true;
        }

        float sum = 0;
        for (int expert = 0, i = 0; expert < count; expert++)
        {
            if (chosen[expert])
            {
                (experts[i], weights[i]) = (expert, scores[expert]);
                sum += weights[i++];
            }
        }

        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = (config.NormTopkProb ? weights[i] / (sum + 1e-20f) : weights[i]) * config.RoutedScalingFactor;
        }
    }

    private static int Largest(ReadOnlySpan<float> values, ReadOnlySpan<bool> taken)
    {
        int best = -1;
        for (int i = 0; i < values.Length; i++)
        {
            if (!taken[i] && (best < 0 || values[i] > values[best]))
            {
                best = i;
            }
        }

        return best;
    }
}

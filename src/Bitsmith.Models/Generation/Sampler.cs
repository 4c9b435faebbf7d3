namespace Bitsmith.Models.Generation;

/// <summary>
/// Chooses tokens of one answer. Order: penalties and bias, temperature, then the limits top-k, top-p and min-p on the probabilities that remain, then one draw. Equal logits rank by
/// id, so the same seed gives the same answer everywhere.
/// </summary>
public sealed class Sampler
{
    private readonly SamplingSettings settings;
    private readonly Random random;
    private readonly HashSet<int> seen;
    private readonly Dictionary<int, int> counts = [];
    private readonly int[] order;
    private readonly double[] weights;

    /// <summary>Starts an answer.</summary>
    /// <param name="settings">How to choose.</param>
    /// <param name="prompt">The prompt's tokens, which the repetition penalty counts.</param>
    /// <param name="vocabularySize">Number of logits.</param>
    public Sampler(SamplingSettings settings, ReadOnlySpan<int> prompt, int vocabularySize)
    {
        ArgumentNullException.ThrowIfNull(settings);
        this.settings = settings;
        random = settings.Seed is int seed ? new Random(seed) : new Random();
        seen = [.. prompt];
        order = new int[vocabularySize];
        weights = new double[vocabularySize];
    }

    /// <summary>Chooses the next token and counts it.</summary>
    /// <param name="logits">V logits; changed by penalties and bias.</param>
    /// <exception cref="NonFiniteLogitsException">No logit is finite.</exception>
    public int Next(Span<float> logits)
    {
        Penalize(logits);
        int token = settings.Temperature == 0 ? Largest(logits) : Draw(logits);
        seen.Add(token);
        counts[token] = counts.GetValueOrDefault(token) + 1;
        return token;
    }

    private void Penalize(Span<float> logits)
    {
        if (settings.RepetitionPenalty != 1)
        {
            foreach (int token in seen)
            {
                logits[token] = (float)(logits[token] > 0 ? logits[token] / settings.RepetitionPenalty : logits[token] * settings.RepetitionPenalty);
            }
        }

        foreach ((int token, int count) in counts)
        {
            logits[token] -= (float)(settings.PresencePenalty + (settings.FrequencyPenalty * count));
        }

        foreach ((int token, double bias) in settings.LogitBias)
        {
            logits[token] += (float)bias;
        }
    }

    private static int Largest(ReadOnlySpan<float> logits)
    {
        int best = -1;
        for (int i = 0; i < logits.Length; i++)
        {
            if (!float.IsNaN(logits[i]) && (best < 0 || logits[i] > logits[best]))
            {
                best = i;
            }
        }

        return best >= 0 && !float.IsInfinity(logits[best]) ? best : throw new NonFiniteLogitsException();
    }

    private int Draw(ReadOnlySpan<float> logits)
    {
        double largest = logits[Largest(logits)];
        for (int i = 0; i < logits.Length; i++)
        {
            weights[i] = float.IsNaN(logits[i]) ? 0 : Math.Exp((logits[i] - largest) / settings.Temperature);
            order[i] = i;
        }

        // Most likely first; of equals the lower id first.
        Array.Sort(order, (a, b) => weights[a] != weights[b] ? weights[b].CompareTo(weights[a]) : a.CompareTo(b));
        int kept = settings.TopK > 0 ? Math.Min(settings.TopK, order.Length) : order.Length;
        double total = 0;
        for (int i = 0; i < kept; i++)
        {
            total += weights[order[i]];
        }

        kept = WithinTopP(kept, total);
        double floor = settings.MinP * weights[order[0]];
        total = 0;
        int last = 0;
        for (; last < kept && weights[order[last]] >= floor; last++)
        {
            total += weights[order[last]];
        }

        double point = random.NextDouble() * total;
        for (int i = 0; i < last; i++)
        {
            point -= weights[order[i]];
            if (point < 0)
            {
                return order[i];
            }
        }

        return order[last - 1];
    }

    /// <summary>The fewest most likely tokens whose probabilities reach top-p.</summary>
    private int WithinTopP(int kept, double total)
    {
        double sum = 0;
        for (int i = 0; i < kept; i++)
        {
            sum += weights[order[i]];
            if (sum >= settings.TopP * total)
            {
                return i + 1;
            }
        }

        return kept;
    }
}

/// <summary>A model computed no number that a token could be chosen by.</summary>
public sealed class NonFiniteLogitsException() : InvalidOperationException("the model's logits are not finite; the weights are damaged, or the scheme was misread");

using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bitsmith.Evaluation.Divergence;

/// <summary>Values at shares of the tokens, linear between neighbours.</summary>
/// <param name="Maximum">The largest.</param>
/// <param name="P999">That which 99.9 % of the tokens do not exceed.</param>
/// <param name="P99">99 %.</param>
/// <param name="P95">95 %.</param>
/// <param name="P90">90 %.</param>
/// <param name="P75">75 %.</param>
/// <param name="Median">Half.</param>
/// <param name="P25">25 %.</param>
/// <param name="P10">10 %.</param>
/// <param name="P5">5 %.</param>
/// <param name="P1">1 %.</param>
/// <param name="P01">0.1 %.</param>
/// <param name="Minimum">The least.</param>
public sealed record Distribution(
    double Maximum,
    [property: JsonPropertyName("p99_9")] double P999,
    double P99,
    double P95,
    double P90,
    double P75,
    double Median,
    double P25,
    double P10,
    double P5,
    double P1,
    [property: JsonPropertyName("p0_1")] double P01,
    double Minimum)
{
    /// <summary>Sorts values and reads off those at the shares.</summary>
    /// <param name="values">At least one.</param>
    public static Distribution Of(IEnumerable<float> values)
    {
        float[] sorted = [.. values];
        Array.Sort(sorted);
        return new Distribution(At(1), At(0.999), At(0.99), At(0.95), At(0.9), At(0.75), At(0.5), At(0.25), At(0.1), At(0.05), At(0.01), At(0.001), At(0));

        double At(double share)
        {
            double place = share * (sorted.Length - 1);
            int below = (int)place, above = Math.Min(below + 1, sorted.Length - 1);
            return below == place ? sorted[below] : sorted[below] + ((place - below) * ((double)sorted[above] - sorted[below]));
        }
    }
}

/// <summary>The figures of llama-perplexity --kl-divergence. Divergences are in nats, probabilities and shares from 0 to 1.</summary>
/// <param name="Tokens">Tokens that were scored.</param>
/// <param name="Perplexity">PPL(Q), the model's.</param>
/// <param name="BasePerplexity">PPL(base).</param>
/// <param name="Correlation">Cor(ln PPL(Q), ln PPL(base)), the ρPPL of model cards; null where a perplexity has no error.</param>
/// <param name="LogRatio">ln(PPL(Q) / PPL(base)).</param>
/// <param name="Ratio">PPL(Q) / PPL(base).</param>
/// <param name="Difference">PPL(Q) - PPL(base).</param>
/// <param name="Mean">Mean KL divergence.</param>
/// <param name="Divergence">KL divergences of the tokens.</param>
/// <param name="MeanDeltaP">Mean of Δp, the model's probability of the token that follows less the base model's.</param>
/// <param name="RmsDeltaP">√(mean Δp²).</param>
/// <param name="DeltaP">Δp of the tokens.</param>
/// <param name="SameTop">The share of tokens where both models find the same one likeliest.</param>
public sealed record DivergenceStatistics(
    int Tokens,
    Estimate Perplexity,
    Estimate BasePerplexity,
    double? Correlation,
    Estimate LogRatio,
    Estimate Ratio,
    Estimate Difference,
    Estimate Mean,
    Distribution Divergence,
    Estimate MeanDeltaP,
    Estimate RmsDeltaP,
    Distribution DeltaP,
    Estimate SameTop);

/// <summary>How far a model lies from a base model, with the settings that it was measured under.</summary>
/// <param name="Model">The model and how it was run.</param>
/// <param name="Base">The base model and how it was run; null where a file of log-probabilities stood for it.</param>
/// <param name="BaseLogits">That file, or null.</param>
/// <param name="Text">The text and how it was cut.</param>
/// <param name="Statistics">The figures.</param>
/// <param name="Seconds">Time that it took.</param>
/// <param name="TokensPerSecond">Tokens of all chunks over that time.</param>
public sealed record DivergenceReport(
    ModelConditions Model, ModelConditions? Base, string? BaseLogits, TextConditions Text, DivergenceStatistics Statistics, double Seconds, double TokensPerSecond)
{
    /// <summary>The report as JSON, under stable names.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, DivergenceJson.Default.DivergenceReport);
}

/// <summary>Told after each chunk: figures of the chunks done.</summary>
/// <param name="Done">Chunks done.</param>
/// <param name="Total">All chunks.</param>
/// <param name="Perplexity">The model's perplexity.</param>
/// <param name="LogRatio">ln(PPL(Q) / PPL(base)).</param>
/// <param name="Divergence">Mean KL divergence.</param>
/// <param name="RmsDeltaP">√(mean Δp²).</param>
/// <param name="SameTop">The share of tokens where both models find the same one likeliest.</param>
public sealed record DivergenceProgress(int Done, int Total, Estimate Perplexity, Estimate LogRatio, Estimate Divergence, Estimate RmsDeltaP, Estimate SameTop);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(DivergenceReport))]
internal sealed partial class DivergenceJson : JsonSerializerContext;

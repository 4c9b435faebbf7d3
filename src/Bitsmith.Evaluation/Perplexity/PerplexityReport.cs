using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bitsmith.Evaluation.Perplexity;

/// <summary>A model's perplexity on a text, with the settings that it was measured under.</summary>
/// <param name="Model">The model and how it was run.</param>
/// <param name="Text">The text and how it was cut.</param>
/// <param name="Perplexity">e^(mean of -ln p(the token that follows)), with llama-perplexity's error.</param>
/// <param name="Loss">The mean of -ln p itself, in nats.</param>
/// <param name="Seconds">Time that it took.</param>
/// <param name="TokensPerSecond">Tokens of all chunks over that time.</param>
public sealed record PerplexityReport(ModelConditions Model, TextConditions Text, Estimate Perplexity, Estimate Loss, double Seconds, double TokensPerSecond)
{
    /// <summary>The report as JSON, under stable names.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, PerplexityJson.Default.PerplexityReport);
}

/// <summary>Told after each chunk.</summary>
/// <param name="Done">Chunks done.</param>
/// <param name="Total">All chunks.</param>
/// <param name="Perplexity">That of the chunks done.</param>
public sealed record PerplexityProgress(int Done, int Total, Estimate Perplexity);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(PerplexityReport))]
internal sealed partial class PerplexityJson : JsonSerializerContext;

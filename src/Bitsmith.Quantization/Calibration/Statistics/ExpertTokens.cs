using System.Globalization;

namespace Bitsmith.Quantization.Calibration.Statistics;

/// <summary>Tokens of the routed experts of a layer.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Routed">Tokens that the router gave to each expert.</param>
/// <param name="Seen">Tokens in each expert's statistics.</param>
/// <param name="FallenBack">Experts without a token, whose statistics are of all tokens instead.</param>
public sealed record ExpertTokens(int Layer, IReadOnlyList<long> Routed, IReadOnlyList<long> Seen, IReadOnlyList<int> FallenBack)
{
    /// <summary>A line for a report.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"layer {Layer}: {Routed.Count} experts, routed tokens {Routed.Min()} to {Routed.Max()}, {Routed.Count(tokens => tokens == 0)} without any; in the statistics {Seen.Min()} to {Seen.Max()}{(FallenBack.Count > 0 ? $"; of all tokens instead: {string.Join(", ", FallenBack)}" : string.Empty)}");
}

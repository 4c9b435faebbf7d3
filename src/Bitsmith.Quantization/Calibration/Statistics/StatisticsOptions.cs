using System.Globalization;

namespace Bitsmith.Quantization.Calibration.Statistics;

/// <summary>How tokens count in the statistics of an expert.</summary>
public enum TokenWeighting
{
    /// <summary>Each token that the expert sees counts 1.</summary>
    Alike,

    /// <summary>Each token counts the square of the router's weight for the expert, which is what an error of the expert's output counts in the layer's.</summary>
    Router,
}

/// <summary>What is done about an expert that no token was routed to.</summary>
public enum UnseenExpert
{
    /// <summary>It is an error.</summary>
    Error,

    /// <summary>Its statistics are those of all tokens, which run through it for that alone; it is told of.</summary>
    AllTokens,
}

/// <summary>Which statistics are taken.</summary>
public sealed record StatisticsOptions
{
    /// <summary>Every expert sees every token; what flows on is what the router chooses.</summary>
    public bool AllExperts { get; init; } = true;

    /// <summary>How tokens count for experts.</summary>
    public TokenWeighting Weighting { get; init; }

    /// <summary>With <see cref="TokenWeighting.Router"/>, the least that a router's weight is taken for, before it is squared: with all experts, what tokens count that chose others.</summary>
    public float LeastWeight { get; init; } = 0.01f;

    /// <summary>The largest magnitude of every token is counted, for quantiles.</summary>
    public bool Quantiles { get; init; }

    /// <summary>What is done about experts without tokens.</summary>
    public UnseenExpert Unseen { get; init; }

    /// <summary>What the numbers depend on, in a line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{(AllExperts ? "all experts" : "routed experts")}, {(Weighting == TokenWeighting.Alike ? "tokens alike" : $"tokens by router weight of at least {LeastWeight}")}, {(Quantiles ? "with" : "without")} quantiles, unseen experts: {Unseen}");
}

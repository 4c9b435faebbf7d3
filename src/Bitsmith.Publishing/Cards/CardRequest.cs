namespace Bitsmith.Publishing.Cards;

/// <summary>What a card is written for.</summary>
/// <param name="Output">The result: a quantized folder, a GGUF file, or a folder of GGUF files.</param>
public sealed record CardRequest(string Output)
{
    /// <summary>The repository, <c>organization/name</c>; null for the name of the folder or file.</summary>
    public string? Name { get; init; }

    /// <summary>The base model on the hub, <c>organization/name</c>; null where an earlier card says it.</summary>
    public string? BaseModel { get; init; }

    /// <summary>The base model's folder, whose card says licence and languages; null for the one that the report names.</summary>
    public string? BaseFolder { get; init; }

    /// <summary>The report of a comparison; null for a card without measurements.</summary>
    public string? Report { get; init; }

    /// <summary>The licence, where the base model's card does not say it.</summary>
    public string? License { get; init; }

    /// <summary>Its name, where it is <c>other</c>.</summary>
    public string? LicenseName { get; init; }

    /// <summary>Its text.</summary>
    public string? LicenseLink { get; init; }
}

namespace Bitsmith.Publishing.Cards;

/// <summary>What a licence asks of whoever publishes a model made from the licensed one.</summary>
/// <param name="Name">The licence.</param>
/// <param name="NamePrefix">What the model's name must begin with; null for anything.</param>
/// <param name="Attribution">What must be shown prominently; null for nothing.</param>
/// <param name="NeedsText">True where a copy of the licence must lie in the repository.</param>
/// <param name="Terms">What users must be told.</param>
internal sealed record LicenseTerms(string Name, string? NamePrefix, string? Attribution, bool NeedsText, IReadOnlyList<string> Terms)
{
    // The glm-4-9b License, sections 2 and 3, as it lies beside the models of THUDM and zai-org.
    private static readonly LicenseTerms Glm4 = new(
        "glm-4-9b License", "glm-4", "Built with glm-4", NeedsText: true,
        [
            "Attribution: this model is \"Built with glm-4\"; whoever distributes it, or a product or service that uses it, shows that prominently and passes the licence on.",
            "Name: a model made from it has a name that begins with \"glm-4\".",
            "Commercial use needs a registration, free of charge, at https://open.bigmodel.cn/mla/form; academic research does not.",
            "It must not be used for any military or illegal purpose, nor to endanger national security or unity, harm public interest or public order, or infringe the rights of others.",
        ]);

    /// <summary>The terms of a licence by its identifier or name on the hub; null where it asks for nothing but itself.</summary>
    public static LicenseTerms? Of(FrontMatter card) => card is { License: "glm-4" } or { LicenseName: "glm-4" or "glm-4-9b" } ? Glm4 : null;

    /// <summary>Refuses a name that the licence does not permit.</summary>
    /// <param name="repository">The name, with or without an organization before it.</param>
    /// <exception cref="CardException">It does not begin as it must.</exception>
    public void RequireName(string repository)
    {
        string name = repository[(repository.LastIndexOf('/') + 1)..];
        if (NamePrefix is not null && !name.StartsWith(NamePrefix, StringComparison.OrdinalIgnoreCase))
        {
            throw new CardException($"'{name}' is no name for this model: the {Name} asks that the name of a model made from it begins with '{NamePrefix}'. Take for example --name {repository[..^name.Length]}{NamePrefix}-{name}.");
        }
    }
}

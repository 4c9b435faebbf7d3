using System.Text.RegularExpressions;

namespace Bitsmith.Models.Text.Templates;

public sealed partial class ChatTemplate
{
    /// <summary>
    /// The markers that the template's text holds, each once: what GLM's templates separate a conversation by, such as <c>[gMASK]</c>, <c>&lt;sop&gt;</c> and <c>&lt;|user|&gt;</c>. A model
    /// knows each as one token; a tokenizer that spells it out has another meaning for it.
    /// </summary>
    public IReadOnlyList<string> Markers { get; }

    private static string[] MarkersOf(string source) => [.. Marker().Matches(source).Select(match => match.Value).Distinct(StringComparer.Ordinal)];

    [GeneratedRegex(@"<\|\w+\|>|\[gMASK\]|<sop>", RegexOptions.CultureInvariant)]
    private static partial Regex Marker();
}

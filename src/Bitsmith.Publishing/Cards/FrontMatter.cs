using System.Text;
using Bitsmith.Checkpoints;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Bitsmith.Publishing.Cards;

/// <summary>The YAML at the top of a model card, as the Hugging Face hub reads it.</summary>
public sealed record FrontMatter
{
    /// <summary>The model that this one was made from, <c>organization/name</c>.</summary>
    public string? BaseModel { get; init; }

    /// <summary>How it was made from it.</summary>
    public string? BaseModelRelation { get; init; }

    /// <summary>The library that loads it.</summary>
    public string? LibraryName { get; init; }

    /// <summary>An identifier of the hub's list; <c>other</c> for all else.</summary>
    public string? License { get; init; }

    /// <summary>The licence's name, where it is <c>other</c>.</summary>
    public string? LicenseName { get; init; }

    /// <summary>The licence's text: an address, or a file of the repository.</summary>
    public string? LicenseLink { get; init; }

    /// <summary>What it is for, an identifier of the hub's list.</summary>
    public string? PipelineTag { get; init; }

    /// <summary>ISO 639 codes.</summary>
    public IReadOnlyList<string> Language { get; init; } = [];

    /// <summary>Words to find it by.</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>Who quantized it.</summary>
    public string? QuantizedBy { get; init; }

    /// <summary>Reads the front matter of a card.</summary>
    /// <param name="path">The card.</param>
    /// <returns>Null where there is no card, or none at its top.</returns>
    /// <exception cref="CheckpointException">The file cannot be read, or the YAML is broken.</exception>
    public static FrontMatter? Load(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            string[] lines = File.ReadAllLines(path);
            int end = lines.Length > 0 && lines[0].TrimEnd() == "---" ? Array.FindIndex(lines, 1, line => line.TrimEnd() == "---") : -1;
            return end < 0 ? null : Parse(string.Join('\n', lines[1..end]));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
        catch (YamlException problem)
        {
            throw new CheckpointException(path, $"its front matter is no YAML (line {problem.Start.Line + 1}): {problem.Message}. Mend it, or give the licence on the command line.", problem);
        }
    }

    /// <summary>The front matter with its two lines of dashes.</summary>
    public string ToYaml()
    {
        YamlMappingNode map = [];
        foreach ((string key, YamlNode? value) in (ReadOnlySpan<(string, YamlNode?)>)
        [
            ("base_model", Scalar(BaseModel)), ("base_model_relation", Scalar(BaseModelRelation)), ("library_name", Scalar(LibraryName)), ("license", Scalar(License)), ("license_name", Scalar(LicenseName)),
            ("license_link", Scalar(LicenseLink)), ("pipeline_tag", Scalar(PipelineTag)), ("language", List(Language)), ("tags", List(Tags)), ("quantized_by", Scalar(QuantizedBy)),
        ])
        {
            if (value is not null)
            {
                map.Add(key, value);
            }
        }

        using StringWriter writer = new(new StringBuilder());
        writer.NewLine = "\n";
        new YamlStream(new YamlDocument(map)).Save(writer, assignAnchors: false);
        string yaml = writer.ToString().ReplaceLineEndings("\n");
        return $"---\n{(yaml.EndsWith("...\n", StringComparison.Ordinal) ? yaml[..^"...\n".Length] : yaml)}---\n";

        // A word that YAML would read as something else than a text ("no", the language) is quoted.
        static YamlScalarNode? Scalar(string? text) => text is null ? null : new YamlScalarNode(text) { Style = NeedsQuotes(text) ? ScalarStyle.DoubleQuoted : ScalarStyle.Any };

        static YamlSequenceNode? List(IReadOnlyList<string> items) => items.Count == 0 ? null : new YamlSequenceNode(items.Select(item => (YamlNode)Scalar(item)!));
    }

    private static bool NeedsQuotes(string text) =>
        text.Length == 0 || text.ToUpperInvariant() is "NO" or "YES" or "ON" or "OFF" or "Y" or "N" or "TRUE" or "FALSE" or "NULL" or "~" || char.IsAsciiDigit(text[0]) || text[0] is '.' or '-' or '+';

    private static FrontMatter? Parse(string yaml)
    {
        YamlStream stream = [];
        stream.Load(new StringReader(yaml));
        return stream.Documents is not [{ RootNode: YamlMappingNode map }] ? null : new FrontMatter
        {
            BaseModel = One("base_model"),
            BaseModelRelation = One("base_model_relation"),
            LibraryName = One("library_name"),
            License = One("license"),
            LicenseName = One("license_name"),
            LicenseLink = One("license_link"),
            PipelineTag = One("pipeline_tag"),
            Language = All("language"),
            Tags = All("tags"),
            QuantizedBy = One("quantized_by"),
        };

        string? One(string key) => All(key).FirstOrDefault();

        IReadOnlyList<string> All(string key) => !map.Children.TryGetValue(new YamlScalarNode(key), out YamlNode? value) ? [] : value switch
        {
            YamlScalarNode { Value: { Length: > 0 } text } => [text],
            YamlSequenceNode items => [.. items.OfType<YamlScalarNode>().Select(item => item.Value).OfType<string>()],
            _ => [],
        };
    }
}

using System.Text.RegularExpressions;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Mixes;

/// <summary>How a mix is changed by the user, as llama-quantize's options of the same names do.</summary>
/// <param name="Overrides">Types by name; the first that matches decides.</param>
/// <param name="Pure">Every matrix takes the base type.</param>
/// <param name="OutputType">The type of the output head.</param>
/// <param name="EmbeddingType">The type of the token embedding.</param>
/// <param name="AllowUnmatched">An override that decides for no tensor is no error.</param>
public sealed record MixOptions(IReadOnlyList<TensorTypeOverride> Overrides, bool Pure = false, GgmlType? OutputType = null, GgmlType? EmbeddingType = null, bool AllowUnmatched = false)
{
    /// <summary>The mix as it is.</summary>
    public static MixOptions None { get; } = new([]);

    /// <summary>True where an option names the type of a tensor.</summary>
    internal bool Gives(string name) => Overrides.Any(entry => entry.Matches(name)) || TensorRoles.Of(name).Role switch
    {
        TensorRole.Output => OutputType is not null,
        TensorRole.Embedding => EmbeddingType is not null,
        _ => false,
    };

    /// <summary>Reads the name of a tensor type in any case.</summary>
    /// <exception cref="RequestException">There is none of this name, or it does not stand in files.</exception>
    public static GgmlType ParseType(string name) => GgmlFormats.TryParse(name, out GgmlFormat? format) && format.Type != GgmlType.Q8_K
        ? format.Type
        : throw new RequestException($"'{name}' is no tensor type; known are {GgmlFormats.KnownNames}.");
}

/// <summary>A type for the tensors whose names a regular expression finds something in: <c>RE=TYPE</c>.</summary>
public sealed class TensorTypeOverride
{
    private static readonly TimeSpan MatchLimit = TimeSpan.FromSeconds(1);

    private readonly Regex regex;

    /// <summary>Reads <c>RE=TYPE</c>; the first equals sign divides. Upper and lower case are the same in both.</summary>
    /// <param name="text">The text.</param>
    /// <param name="rule">What decided, in words; null for the option of the command line.</param>
    /// <exception cref="RequestException">It is not of this form.</exception>
    public TensorTypeOverride(string text, string? rule = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        int split = text.IndexOf('=', StringComparison.Ordinal);
        if (split <= 0 || split == text.Length - 1)
        {
            throw new RequestException($"'{text}' is no RE=TYPE; write for example 'ffn_down=q6_k' or 'blk\\.[0-3]\\.attn_v=q8_0'.");
        }

        try
        {
            regex = new Regex(text[..split], RegexOptions.ECMAScript | RegexOptions.IgnoreCase, MatchLimit);
        }
        catch (ArgumentException problem)
        {
            throw new RequestException($"'{text[..split]}' is no valid regular expression: {problem.Message}");
        }

        (Text, Rule) = (text, rule ?? $"--tensor-type {text}");
        Type = MixOptions.ParseType(text[(split + 1)..]);
    }

    /// <summary>As it was written.</summary>
    public string Text { get; }

    /// <summary>What decided, in words.</summary>
    public string Rule { get; }

    /// <summary>The type that it gives.</summary>
    public GgmlType Type { get; }

    /// <summary>True where the expression finds something in the name.</summary>
    /// <exception cref="RequestException">The expression took longer than a second on one name.</exception>
    public bool Matches(string name)
    {
        try
        {
            return regex.IsMatch(name);
        }
        catch (RegexMatchTimeoutException)
        {
            throw new RequestException($"'{Text}' needs more than {MatchLimit.TotalSeconds:0} second to match '{name}'. Write it without nested repetition.");
        }
    }
}

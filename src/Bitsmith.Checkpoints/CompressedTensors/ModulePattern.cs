using System.Text.RegularExpressions;

namespace Bitsmith.Checkpoints.CompressedTensors;

/// <summary>
/// One entry of <c>targets</c> or <c>ignore</c>. <c>re:X</c> is a Python <c>re.match</c> of X on the full module name: anchored at the
/// start, not at the end. Anything else equals the full module name or the module's class name.
/// </summary>
public sealed partial class ModulePattern
{
    private static readonly TimeSpan MatchLimit = TimeSpan.FromSeconds(1);

    private readonly Regex? regex;

    /// <summary>Compiles an entry.</summary>
    /// <exception cref="ModulePatternException">The regular expression is invalid.</exception>
    public ModulePattern(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        Text = text;
        if (text.StartsWith("re:", StringComparison.Ordinal))
        {
            try
            {
                // First alone: 'a)|(b' would become valid, and lose its anchor, inside the group that anchors it.
                string pattern = new Regex(FromPython(text[3..])).ToString();
                regex = new Regex($@"\A(?:{pattern})", RegexOptions.CultureInvariant, MatchLimit);
            }
            catch (RegexParseException problem)
            {
                throw new ModulePatternException($"'{text}' is no valid regular expression: {problem.Message}", problem);
            }
        }
    }

    /// <summary>The entry as it was written.</summary>
    public string Text { get; }

    /// <summary>0 for a name or class, 1 for a regular expression: plain strings are tried first.</summary>
    public int Rank => regex is null ? 0 : 1;

    /// <summary>Matches the full module name.</summary>
    /// <exception cref="ModulePatternException">The regular expression took longer than a second on one name.</exception>
    public bool MatchesName(string moduleName)
    {
        try
        {
            return regex?.IsMatch(moduleName) ?? Text == moduleName;
        }
        catch (RegexMatchTimeoutException problem)
        {
            throw new ModulePatternException($"'{Text}' needs more than {MatchLimit.TotalSeconds:0} second to match '{moduleName}'. Write it without nested repetition.", problem);
        }
    }

    /// <summary>Matches the module's class name.</summary>
    public bool MatchesClass(string className) => regex is null && Text == className;

    /// <summary>Matches the full module name or the module's class name.</summary>
    /// <exception cref="ModulePatternException">The regular expression took longer than a second on one name.</exception>
    public bool Matches(string moduleName, string className) => MatchesName(moduleName) || MatchesClass(className);

    // Python spells named groups and the absolute end differently; the rest that occurs in practice is the same.
    private static string FromPython(string pattern) =>
        AbsoluteEnd().Replace(pattern.Replace("(?P<", "(?<", StringComparison.Ordinal), @"$1\z");

    [GeneratedRegex(@"(?<!\\)((?:\\\\)*)\\Z")]
    private static partial Regex AbsoluteEnd();
}

/// <summary>An entry of <c>targets</c> or <c>ignore</c> is no usable regular expression.</summary>
/// <param name="message">The entry and what is wrong with it.</param>
/// <param name="inner">The cause.</param>
public sealed class ModulePatternException(string message, Exception inner) : ArgumentException(message, inner);

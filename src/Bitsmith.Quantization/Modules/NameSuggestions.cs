using System.Text.RegularExpressions;

namespace Bitsmith.Quantization.Modules;

/// <summary>Finds the real module paths that resemble a pattern which matches none.</summary>
internal static partial class NameSuggestions
{
    private const int Most = 3;

    /// <summary>The closest paths, best first; paths that differ only in an index count once.</summary>
    public static IReadOnlyList<string> Closest(string pattern, ModuleTree tree)
    {
        string wanted = Literal(pattern);
        return [.. tree.Modules
            .DistinctBy(module => Digits().Replace(module.Name, "0"))
            .Select(module => (module.Name, Distance: Distance(wanted, Digits().Replace(module.Name, "0"))))
            .OrderBy(candidate => candidate.Distance).ThenBy(candidate => candidate.Name.Length).ThenBy(candidate => candidate.Name, StringComparer.Ordinal)
            .Take(Most)
            .Select(candidate => candidate.Name)];
    }

    // What remains of a regular expression without its operators, with every index as 0.
    private static string Literal(string pattern)
    {
        string text = pattern.StartsWith("re:", StringComparison.Ordinal) ? pattern[3..] : pattern;
        text = text.Replace(@"\d", "0", StringComparison.Ordinal).Replace(".*", string.Empty, StringComparison.Ordinal).Replace(".+", string.Empty, StringComparison.Ordinal);
        return Digits().Replace(Operators().Replace(text, string.Empty), "0").Trim('.');
    }

    /// <summary>Levenshtein distance where it costs little (0.25) to lack what the pattern's open end would cover.</summary>
    private static double Distance(string wanted, string name)
    {
        double[] row = new double[name.Length + 1];
        for (int j = 0; j <= name.Length; j++)
        {
            row[j] = j * 0.25;
        }

        for (int i = 1; i <= wanted.Length; i++)
        {
            double diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= name.Length; j++)
            {
                double substitute = diagonal + (wanted[i - 1] == name[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substitute, Math.Min(row[j] + 1, row[j - 1] + 0.25));
            }
        }

        return row[name.Length];
    }

    [GeneratedRegex(@"\d+")]
    private static partial Regex Digits();

    [GeneratedRegex(@"[\\^$*+?()\[\]{}|]")]
    private static partial Regex Operators();
}

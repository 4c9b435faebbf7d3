using System.Globalization;
using System.Text.RegularExpressions;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>A share of the samples that have so many tokens.</summary>
/// <param name="From">Fewest tokens.</param>
/// <param name="To">Most tokens; where another class begins with this length, samples of exactly this length belong to that one.</param>
/// <param name="Percent">Share of all samples.</param>
public sealed partial record LengthClass(int From, int To, double Percent)
{
    /// <summary>Reads classes as <c>256-1024: 90%, 1024-2048: 10%</c>.</summary>
    /// <exception cref="RequestException">The text has another form, classes overlap, or the shares are not 100 % together.</exception>
    public static IReadOnlyList<LengthClass> Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        LengthClass[] classes = [.. text.Split(',').Select(part => Form().Match(part) is { Success: true } found
            ? new LengthClass(Number(found, "from"), Number(found, "to"), double.Parse(found.Groups["share"].Value, CultureInfo.InvariantCulture))
            : throw new RequestException($"'{part.Trim()}' is no class of lengths; expected something like '256-1024: 90%, 1024-2048: 10%'."))];
        string? problem = Array.Find(classes, one => one.From < 1 || one.From >= one.To || one.Percent <= 0) is { } bad ? $"'{bad}' is empty: it needs at least 1 token, a higher end than beginning, and a share above 0"
            : classes.OrderBy(one => one.From).Zip(classes.OrderBy(one => one.From).Skip(1)).FirstOrDefault(pair => pair.First.To > pair.Second.From) is { First: not null } pair ? $"'{pair.First}' and '{pair.Second}' overlap"
            : Math.Abs(classes.Sum(one => one.Percent) - 100) > 1e-6 ? string.Create(CultureInfo.InvariantCulture, $"the shares are {classes.Sum(one => one.Percent)}% together, expected 100%")
            : null;
        return problem is null ? classes : throw new RequestException($"classes of lengths '{text}': {problem}.");

        static int Number(Match match, string group) => int.TryParse(match.Groups[group].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new RequestException($"'{match.Groups[group].Value}' is no number of tokens.");
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{From}-{To}: {Percent}%");

    /// <summary>The class of a length; -1 where there is none.</summary>
    internal static int Find(IReadOnlyList<LengthClass> classes, int tokens)
    {
        int found = -1;
        for (int i = 0; i < classes.Count; i++)
        {
            if (tokens >= classes[i].From && tokens <= classes[i].To && (found < 0 || classes[i].From == tokens))
            {
                found = i;
            }
        }

        return found;
    }

    [GeneratedRegex(@"^\s*(?<from>\d+)\s*-\s*(?<to>\d+)\s*:\s*(?<share>\d+(\.\d+)?)\s*%\s*$", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}

/// <summary>Divides a number of samples by shares.</summary>
internal static class Apportionment
{
    /// <summary>Whole numbers that add up to <paramref name="total"/>, by largest remainders; of equal remainders the first goes up.</summary>
    public static int[] Divide(int total, IReadOnlyList<double> shares)
    {
        double all = shares.Sum();
        double[] exact = [.. shares.Select(share => total * share / all)];
        int[] parts = [.. exact.Select(share => (int)Math.Floor(share))];
        int missing = total - parts.Sum();
        foreach (int i in Enumerable.Range(0, parts.Length).OrderByDescending(i => exact[i] - parts[i]).Take(missing))
        {
            parts[i]++;
        }

        return parts;
    }
}

using System.Collections.Frozen;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Upper, lower and title case as Python has them: the full mappings of Unicode, in which one letter may become several.</summary>
internal static class PythonCase
{
    public static string Upper(string text)
    {
        if (Ascii.IsValid(text))
        {
            return text.ToUpperInvariant();
        }

        StringBuilder result = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            AppendUpper(result, rune, CaseTables.Upper);
        }

        return Repaired(text, result);
    }

    public static string Lower(string text)
    {
        if (Ascii.IsValid(text))
        {
            return text.ToLowerInvariant();
        }

        Rune[] runes = [.. text.EnumerateRunes()];
        StringBuilder result = new(text.Length);
        for (int i = 0; i < runes.Length; i++)
        {
            AppendLower(result, runes, i);
        }

        return Repaired(text, result);
    }

    /// <summary>The first letter in title case, all others in lower case.</summary>
    public static string Capitalize(string text)
    {
        Rune[] runes = [.. text.EnumerateRunes()];
        StringBuilder result = new(text.Length);
        for (int i = 0; i < runes.Length; i++)
        {
            if (i == 0)
            {
                AppendUpper(result, runes[0], CaseTables.Title);
            }
            else
            {
                AppendLower(result, runes, i);
            }
        }

        return Repaired(text, result);
    }

    /// <summary>Python's str.title: every letter behind something without case in title case.</summary>
    public static string Title(string text)
    {
        Rune[] runes = [.. text.EnumerateRunes()];
        StringBuilder result = new(text.Length);
        bool behindCased = false;
        for (int i = 0; i < runes.Length; i++)
        {
            if (behindCased)
            {
                AppendLower(result, runes, i);
            }
            else
            {
                AppendUpper(result, runes[i], CaseTables.Title);
            }

            behindCased = IsCased(runes[i]);
        }

        return Repaired(text, result);
    }

    public static string SwapCase(string text)
    {
        Rune[] runes = [.. text.EnumerateRunes()];
        StringBuilder result = new(text.Length);
        for (int i = 0; i < runes.Length; i++)
        {
            if (Rune.IsUpper(runes[i]))
            {
                AppendLower(result, runes, i);
            }
            else if (Rune.IsLower(runes[i]))
            {
                AppendUpper(result, runes[i], CaseTables.Upper);
            }
            else
            {
                result.Append(runes[i].ToString());
            }
        }

        return Repaired(text, result);
    }

    public static bool IsCased(Rune rune) =>
        Rune.IsUpper(rune) || Rune.IsLower(rune) || Rune.GetUnicodeCategory(rune) == System.Globalization.UnicodeCategory.TitlecaseLetter
        || rune.Value is 0xaa or 0xba or (>= 0x2160 and <= 0x217f) or (>= 0x24b6 and <= 0x24e9);

    private static void AppendUpper(StringBuilder result, Rune rune, FrozenDictionary<int, string> special)
    {
        if (special.TryGetValue(rune.Value, out string? text))
        {
            result.Append(text);
        }
        else
        {
            result.Append(Rune.ToUpperInvariant(rune).ToString());
        }
    }

    private static void AppendLower(StringBuilder result, Rune[] runes, int index)
    {
        Rune rune = runes[index];
        if (rune.Value == 0x3a3)
        {
            // A sigma is written in its final form where letters stand before it and none behind.
            result.Append(IsFinal(runes, index) ? 'ς' : 'σ');
        }
        else if (rune.Value == 0x130)
        {
            result.Append("i\u0307");
        }
        else
        {
            result.Append(Rune.ToLowerInvariant(rune).ToString());
        }
    }

    private static bool IsFinal(Rune[] runes, int index)
    {
        int before = index - 1;
        while (before >= 0 && IsCaseIgnorable(runes[before]))
        {
            before--;
        }

        int behind = index + 1;
        while (behind < runes.Length && IsCaseIgnorable(runes[behind]))
        {
            behind++;
        }

        return before >= 0 && IsCased(runes[before]) && (behind >= runes.Length || !IsCased(runes[behind]));
    }

    private static bool IsCaseIgnorable(Rune rune) => rune.Value is '\'' or '.' or ':' or '^' or '`' or 0xa8 or 0xad or 0xaf or 0xb4 or 0xb7 or 0xb8
        or 0x2018 or 0x2019 || Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.NonSpacingMark
            or System.Globalization.UnicodeCategory.EnclosingMark or System.Globalization.UnicodeCategory.Format
            or System.Globalization.UnicodeCategory.ModifierLetter or System.Globalization.UnicodeCategory.ModifierSymbol;

    /// <summary>Half a surrogate pair has no case; a text with one is left as it is rather than damaged.</summary>
    private static string Repaired(string text, StringBuilder result)
    {
        string made = result.ToString();
        return made.Contains('\ufffd', StringComparison.Ordinal) && !text.Contains('\ufffd', StringComparison.Ordinal) ? text : made;
    }
}

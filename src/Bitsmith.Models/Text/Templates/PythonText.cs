using System.Globalization;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Text as Python sees it: a row of code points with Python's idea of white space, lines and escapes.</summary>
internal static class PythonText
{
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    /// <summary>The number of code points.</summary>
    public static int Length(string text)
    {
        int length = text.Length;
        for (int i = 1; i < text.Length; i++)
        {
            if (char.IsLowSurrogate(text[i]) && char.IsHighSurrogate(text[i - 1]))
            {
                length--;
            }
        }

        return length;
    }

    public static bool IsUnitPerCodePoint(string text) => !text.AsSpan().ContainsAnyInRange('\ud800', '\udfff');

    public static int CodePointAt(string text, int index) =>
        char.IsHighSurrogate(text[index]) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1])
            ? char.ConvertToUtf32(text[index], text[index + 1]) : text[index];

    /// <summary>The code points, each as a text of its own.</summary>
    public static IEnumerable<string> Elements(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            int units = CodePointAt(text, i) > 0xFFFF ? 2 : 1;
            yield return text.Substring(i, units);
            i += units - 1;
        }
    }

    /// <summary>Where the code points begin; one more entry for the end.</summary>
    public static int[] Starts(string text)
    {
        List<int> starts = new(text.Length + 1);
        for (int i = 0; i < text.Length; i++)
        {
            starts.Add(i);
            i += CodePointAt(text, i) > 0xFFFF ? 1 : 0;
        }

        starts.Add(text.Length);
        return [.. starts];
    }

    /// <summary>Appends a code point; half a surrogate pair stays what it is.</summary>
    public static void Append(StringBuilder text, int codePoint)
    {
        if (codePoint > 0xFFFF)
        {
            text.Append(char.ConvertFromUtf32(codePoint));
        }
        else
        {
            text.Append((char)codePoint);
        }
    }

    public static string EscapeCodePoint(int codePoint) => codePoint switch
    {
        < 0x100 => $"\\x{codePoint:x2}",
        < 0x10000 => $"\\u{codePoint:x4}",
        _ => $"\\U{codePoint:x8}",
    };

    /// <summary>A text as Python's repr writes it.</summary>
    public static string Repr(string text)
    {
        char quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        StringBuilder result = new(text.Length + 2);
        result.Append(quote);
        for (int i = 0; i < text.Length; i++)
        {
            int c = CodePointAt(text, i);
            i += c > 0xFFFF ? 1 : 0;
            _ = c switch
            {
                '\\' => result.Append(@"\\"),
                '\n' => result.Append(@"\n"),
                '\r' => result.Append(@"\r"),
                '\t' => result.Append(@"\t"),
                _ when c == quote => result.Append('\\').Append(quote),
                >= ' ' and < 0x7f => result.Append((char)c),
                _ when IsPrintable(c) => c > 0xFFFF ? result.Append(char.ConvertFromUtf32(c)) : result.Append((char)c),
                _ => result.Append(EscapeCodePoint(c)),
            };
        }

        return result.Append(quote).ToString();
    }

    /// <summary>Splits at runs of white space; a negative count means all.</summary>
    public static List<string> SplitSpace(string text, long max)
    {
        List<string> parts = [];
        int at = 0;
        while (true)
        {
            while (at < text.Length && IsSpace(text[at]))
            {
                at++;
            }

            if (at >= text.Length)
            {
                return parts;
            }

            if (max >= 0 && parts.Count >= max)
            {
                parts.Add(text[at..]);
                return parts;
            }

            int start = at;
            while (at < text.Length && !IsSpace(text[at]))
            {
                at++;
            }

            parts.Add(text[start..at]);
        }
    }

    /// <summary>Splits at runs of white space from the right.</summary>
    public static List<string> SplitSpaceRight(string text, long max)
    {
        List<string> parts = [];
        int end = text.Length;
        while (true)
        {
            while (end > 0 && IsSpace(text[end - 1]))
            {
                end--;
            }

            if (end == 0)
            {
                break;
            }

            if (max >= 0 && parts.Count >= max)
            {
                parts.Add(text[..end]);
                break;
            }

            int start = end;
            while (start > 0 && !IsSpace(text[start - 1]))
            {
                start--;
            }

            parts.Add(text[start..end]);
            end = start;
        }

        parts.Reverse();
        return parts;
    }

    public static List<string> Split(string text, string separator, long max)
    {
        List<string> parts = [];
        int at = 0;
        while (max < 0 || parts.Count < max)
        {
            int next = text.IndexOf(separator, at, StringComparison.Ordinal);
            if (next < 0)
            {
                break;
            }

            parts.Add(text[at..next]);
            at = next + separator.Length;
        }

        parts.Add(text[at..]);
        return parts;
    }

    public static List<string> SplitRight(string text, string separator, long max)
    {
        List<string> parts = [];
        int end = text.Length;
        while (max < 0 || parts.Count < max)
        {
            int next = end < separator.Length ? -1 : text.AsSpan(0, end).LastIndexOf(separator, StringComparison.Ordinal);
            if (next < 0)
            {
                break;
            }

            parts.Add(text[(next + separator.Length)..end]);
            end = next;
        }

        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    public static List<string> SplitLines(string text, bool keepEnds)
    {
        List<string> lines = [];
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029'))
            {
                continue;
            }

            int end = i;
            i += text[i] == '\r' && i + 1 < text.Length && text[i + 1] == '\n' ? 1 : 0;
            lines.Add(keepEnds ? text[start..(i + 1)] : text[start..end]);
            start = i + 1;
        }

        if (start < text.Length)
        {
            lines.Add(text[start..]);
        }

        return lines;
    }

    /// <summary>Takes white space, or any of the given code points, from the ends.</summary>
    public static string Strip(string text, string? characters, bool start, bool end)
    {
        HashSet<string>? set = characters is null ? null : [.. Elements(characters)];
        int first = 0, last = text.Length;
        while (start && first < last)
        {
            int units = CodePointAt(text, first) > 0xFFFF ? 2 : 1;
            if (!(set is null ? IsSpace(text[first]) : set.Contains(text.Substring(first, units))))
            {
                break;
            }

            first += units;
        }

        while (end && first < last)
        {
            int units = last - first > 1 && char.IsLowSurrogate(text[last - 1]) && char.IsHighSurrogate(text[last - 2]) ? 2 : 1;
            if (!(set is null ? IsSpace(text[last - 1]) : set.Contains(text.Substring(last - units, units))))
            {
                break;
            }

            last -= units;
        }

        return text[first..last];
    }

    /// <summary>The order of two texts by code points, which differs from that of UTF-16 units behind U+D7FF.</summary>
    public static int Compare(string left, string right)
    {
        int length = Math.Min(left.Length, right.Length);
        int i = left.AsSpan(0, length).CommonPrefixLength(right.AsSpan(0, length));
        if (i == length)
        {
            return left.Length.CompareTo(right.Length);
        }

        bool leftPair = char.IsSurrogate(left[i]), rightPair = char.IsSurrogate(right[i]);
        return leftPair == rightPair ? left[i].CompareTo(right[i]) : leftPair ? 1 : -1;
    }

    public static bool IsPrintable(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
            or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => false,
        UnicodeCategory.SpaceSeparator => codePoint == ' ',
        _ => true,
    };
}

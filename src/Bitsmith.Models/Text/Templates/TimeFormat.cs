using System.Globalization;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Python's strftime in the C locale.</summary>
internal static class TimeFormat
{
    public static string Format(DateTimeOffset time, string format)
    {
        StringBuilder result = new();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                result.Append(format[i]);
                continue;
            }

            // glibc's "-" leaves the leading zeros or blanks of a number away.
            bool bare = i + 1 < format.Length && format[i + 1] == '-';
            i += bare ? 2 : 1;
            string part = i < format.Length ? Part(time, format[i])
                ?? throw TemplateFault.Unsupported($"the format %{format[i]} of strftime_now is not supported")
                : throw TemplateFault.Operation("a format of strftime_now ends with %");
            string trimmed = bare ? part.TrimStart('0', ' ') : part;
            result.Append(trimmed.Length == 0 && part.Length > 0 ? part[^1..] : trimmed);
        }

        return result.ToString();
    }

    private static string? Part(DateTimeOffset time, char directive) => directive switch
    {
        'a' => time.ToString("ddd", CultureInfo.InvariantCulture),
        'A' => time.ToString("dddd", CultureInfo.InvariantCulture),
        'b' or 'h' => time.ToString("MMM", CultureInfo.InvariantCulture),
        'B' => time.ToString("MMMM", CultureInfo.InvariantCulture),
        'c' => Format(time, "%a %b %e %H:%M:%S %Y"),
        'd' => Two(time.Day),
        'D' or 'x' => Format(time, "%m/%d/%y"),
        'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
        'f' => (time.Ticks % TimeSpan.TicksPerSecond / 10).ToString("000000", CultureInfo.InvariantCulture),
        'F' => Format(time, "%Y-%m-%d"),
        'H' => Two(time.Hour),
        'I' => Two(((time.Hour + 11) % 12) + 1),
        'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
        'm' => Two(time.Month),
        'M' => Two(time.Minute),
        'n' => "\n",
        'p' => time.Hour < 12 ? "AM" : "PM",
        'R' => Format(time, "%H:%M"),
        's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
        'S' => Two(time.Second),
        't' => "\t",
        'T' or 'X' => Format(time, "%H:%M:%S"),
        'u' => (((int)time.DayOfWeek + 6) % 7 + 1).ToString(CultureInfo.InvariantCulture),
        'U' => Two((time.DayOfYear + 6 - (int)time.DayOfWeek) / 7),
        'w' => ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
        'W' => Two((time.DayOfYear + 6 - (((int)time.DayOfWeek + 6) % 7)) / 7),
        'y' => Two(time.Year % 100),
        'Y' => time.Year.ToString(CultureInfo.InvariantCulture),
        'G' => ISOWeek.GetYear(time.DateTime).ToString(CultureInfo.InvariantCulture),
        'V' => Two(ISOWeek.GetWeekOfYear(time.DateTime)),

        // datetime.now() has no time zone, and Python writes nothing for what is not there.
        'z' or 'Z' => string.Empty,
        '%' => "%",
        _ => null,
    };

    private static string Two(int number) => number.ToString("00", CultureInfo.InvariantCulture);
}

using System.Globalization;
using System.Numerics;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Numbers and texts, as Python writes them.</summary>
internal sealed partial class TemplateLexer
{
    private void ReadNumber()
    {
        int start = position;
        if (source[start] == '0' && start + 1 < source.Length && "xXoObB".Contains(source[start + 1], StringComparison.Ordinal))
        {
            int radix = char.ToLowerInvariant(source[start + 1]) switch { 'x' => 16, 'o' => 8, _ => 2 };
            int end = Digits(start + 2, radix, leadingUnderscore: true);
            if (end > start + 2)
            {
                BigInteger value = PythonNumbers.ParseDigits(source.AsSpan(start + 2, end - start - 2), radix)
                    ?? throw Error(start, "the number is too large");
                position = end;
                tokens.Add(new Token(TokenKind.Integer, source[start..end], PlaceOf(start), value));
                return;
            }
        }

        int whole = Digits(start, 10, leadingUnderscore: false);
        bool afterDot = start > 0 && source[start - 1] == '.';
        int fraction = !afterDot && whole + 1 < source.Length && source[whole] == '.' && char.IsAsciiDigit(source[whole + 1])
            ? Digits(whole + 1, 10, leadingUnderscore: false) : whole;
        int exponent = afterDot ? whole : Exponent(fraction);
        if (exponent > whole)
        {
            position = exponent;
            string digits = source[start..exponent].Replace("_", string.Empty, StringComparison.Ordinal);
            tokens.Add(new Token(TokenKind.Float, digits, PlaceOf(start), Float: double.Parse(digits, NumberStyles.Float, CultureInfo.InvariantCulture)));
            return;
        }

        // A leading zero stands for itself, as in jinja2: "012" is 0 and then 12, which no rule of the grammar takes.
        if (source[start] == '0')
        {
            int zeros = start;
            while (zeros < whole && source[zeros] is '0' or '_')
            {
                zeros++;
            }

            whole = zeros;
        }

        position = whole;
        BigInteger integer = PythonNumbers.ParseDigits(source.AsSpan(start, whole - start), 10) ?? throw Error(start, "the number is too large");
        tokens.Add(new Token(TokenKind.Integer, source[start..whole], PlaceOf(start), integer));
    }

    private int Exponent(int at)
    {
        if (at >= source.Length || source[at] is not ('e' or 'E'))
        {
            return at;
        }

        int digits = at + 1 < source.Length && source[at + 1] is '+' or '-' ? at + 2 : at + 1;
        int end = Digits(digits, 10, leadingUnderscore: false);
        return end > digits ? end : at;
    }

    /// <summary>Behind the digits from a place on, single underscores between them included.</summary>
    private int Digits(int at, int radix, bool leadingUnderscore)
    {
        int end = at;
        while (true)
        {
            int next = end < source.Length && source[end] == '_' && (end > at || leadingUnderscore) ? end + 1 : end;
            if (next >= source.Length || PythonNumbers.DigitOf(source[next]) >= radix)
            {
                return end;
            }

            end = next + 1;
        }
    }

    private void ReadString(char quote)
    {
        int start = position;
        int end = start + 1;
        while (end < source.Length && source[end] != quote)
        {
            end += source[end] == '\\' ? 2 : 1;
        }

        if (end >= source.Length)
        {
            throw Error(start, $"a string starts with {quote} and does not end");
        }

        position = end + 1;
        tokens.Add(new Token(TokenKind.String, Unescape(start + 1, end), PlaceOf(start)));
    }

    private string Unescape(int start, int end)
    {
        int slash = source.IndexOf('\\', start, end - start);
        if (slash < 0)
        {
            return source[start..end];
        }

        StringBuilder text = new();
        for (int i = start; i < end; i++)
        {
            char c = source[i];
            if (c != '\\')
            {
                text.Append(c);
                continue;
            }

            char next = source[++i];
            switch (next)
            {
                case '\n': break;
                case '\\' or '\'' or '"': text.Append(next); break;
                case 'a': text.Append('\a'); break;
                case 'b': text.Append('\b'); break;
                case 'f': text.Append('\f'); break;
                case 'n': text.Append('\n'); break;
                case 'r': text.Append('\r'); break;
                case 't': text.Append('\t'); break;
                case 'v': text.Append('\v'); break;
                case 'x': AppendHex(text, ref i, end, 2); break;
                case 'u': AppendHex(text, ref i, end, 4); break;
                case 'U': AppendHex(text, ref i, end, 8); break;
                case 'N': throw Error(i - 1, @"the escape \N{...} is not supported; write the character itself");
                case >= '0' and <= '7':
                    int value = 0;
                    int last = Math.Min(i + 3, end);
                    for (; i < last && source[i] is >= '0' and <= '7'; i++)
                    {
                        value = (value * 8) + (source[i] - '0');
                    }

                    i--;
                    text.Append((char)value);
                    break;
                default:
                    // jinja2 turns what is not ASCII into an escape of its own first, which the backslash before it then undoes.
                    text.Append('\\').Append(next < 128 ? next.ToString() : PythonText.EscapeCodePoint(PythonText.CodePointAt(source, i))[1..]);
                    i += char.IsHighSurrogate(next) && i + 1 < end && char.IsLowSurrogate(source[i + 1]) ? 1 : 0;
                    break;
            }
        }

        return text.ToString();
    }

    private void AppendHex(StringBuilder text, ref int i, int end, int digits)
    {
        if (i + digits >= end
            || !uint.TryParse(source.AsSpan(i + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value)
            || value > 0x10FFFF)
        {
            throw Error(i - 1, $"the escape \\{source[i]} needs {digits} hexadecimal digits of a code point");
        }

        PythonText.Append(text, (int)value);
        i += digits;
    }
}

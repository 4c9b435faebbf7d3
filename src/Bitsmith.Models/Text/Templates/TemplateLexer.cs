using System.Globalization;
using System.Numerics;
using System.Text;

namespace Bitsmith.Models.Text.Templates;

/// <summary>
/// Cuts a template into tokens as jinja2 3.1 does with trim_blocks and lstrip_blocks on: the first newline behind a block or comment
/// goes, blanks before one that starts a line go, and one newline at the end of the template goes.
/// </summary>
internal sealed class TemplateLexer
{
    private static readonly string[] Operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"];

    private readonly string source;
    private readonly string name;
    private readonly List<Token> tokens = [];
    private int position;
    private int line = 1;
    private int lineStart;
    private int located;

    private TemplateLexer(string source, string name)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        this.source = source.EndsWith('\n') ? source[..^1] : source;
        this.name = name;
    }

    public static IReadOnlyList<Token> Read(string source, string name)
    {
        TemplateLexer lexer = new(source, name);
        lexer.ReadAll();
        return lexer.tokens;
    }

    private void ReadAll()
    {
        while (position < source.Length)
        {
            int tag = FindTag(position);
            if (tag < 0)
            {
                Data(position, source.Length);
                position = source.Length;
                break;
            }

            ReadTag(tag);
        }

        tokens.Add(new Token(TokenKind.End, string.Empty, PlaceOf(source.Length)));
    }

    private int FindTag(int from)
    {
        for (int i = source.IndexOf('{', from); i >= 0 && i + 1 < source.Length; i = source.IndexOf('{', i + 1))
        {
            if (source[i + 1] is '{' or '%' or '#')
            {
                return i;
            }
        }

        return -1;
    }

    private void ReadTag(int tag)
    {
        char kind = source[tag + 1];
        char sign = tag + 2 < source.Length && source[tag + 2] is '-' or '+' ? source[tag + 2] : '\0';
        int inside = tag + (sign == '\0' ? 2 : 3);
        Data(position, Stripped(position, tag, sign, isVariable: kind == '{'));
        if (kind == '#')
        {
            if (inside == source.Length)
            {
                position = inside; // jinja2 takes a tag that opens at the very end for nothing
                return;
            }

            int end = source.IndexOf("#}", inside, StringComparison.Ordinal);
            if (end < 0)
            {
                throw Error(tag, "Missing end of comment tag");
            }

            position = end > inside && source[end - 1] is '-' ? SkipSpace(end + 2)
                : end > inside && source[end - 1] is '+' ? end + 2
                : SkipNewline(end + 2);
        }
        else if (kind == '%' && RawBody(inside) is int body && body >= 0)
        {
            ReadRaw(tag, body);
        }
        else
        {
            position = inside;
            tokens.Add(new Token(kind == '{' ? TokenKind.VariableBegin : TokenKind.BlockBegin, string.Empty, PlaceOf(tag)));
            ReadInside(isVariable: kind == '{');
        }
    }

    /// <summary>Where a text ends once the blanks are gone that the tag behind it takes.</summary>
    private int Stripped(int start, int tag, char sign, bool isVariable)
    {
        int end = tag;
        if (sign == '-')
        {
            while (end > start && PythonText.IsSpace(source[end - 1]))
            {
                end--;
            }

            return end;
        }

        if (sign == '+' || isVariable)
        {
            return tag;
        }

        while (end > start && source[end - 1] != '\n' && PythonText.IsSpace(source[end - 1]))
        {
            end--;
        }

        return end == 0 || source[end - 1] == '\n' ? end : tag;
    }

    /// <summary>Where the text of a raw block begins, or -1 where the tag is another.</summary>
    private int RawBody(int inside)
    {
        int at = SkipSpace(inside);
        if (!Starts(at, "raw"))
        {
            return -1;
        }

        at = SkipSpace(at + 3);
        return Starts(at, "-%}") ? SkipSpace(at + 3) : Starts(at, "%}") ? at + 2 : -1;
    }

    private void ReadRaw(int tag, int body)
    {
        if (body == source.Length)
        {
            position = body;
            return;
        }

        for (int i = source.IndexOf("{%", body, StringComparison.Ordinal); i >= 0; i = source.IndexOf("{%", i + 2, StringComparison.Ordinal))
        {
            char sign = i + 2 < source.Length && source[i + 2] is '-' or '+' ? source[i + 2] : '\0';
            int at = SkipSpace(i + (sign == '\0' ? 2 : 3));
            if (!Starts(at, "endraw"))
            {
                continue;
            }

            at = SkipSpace(at + 6);
            int end = Starts(at, "-%}") ? SkipSpace(at + 3) : Starts(at, "+%}") ? at + 3 : Starts(at, "%}") ? SkipNewline(at + 2) : -1;
            if (end >= 0)
            {
                Data(body, Stripped(body, i, sign, isVariable: false));
                position = end;
                return;
            }
        }

        throw Error(tag, "Missing end of raw directive");
    }

    /// <summary>The tokens of one tag up to its end; an end that stands inside brackets is none.</summary>
    private void ReadInside(bool isVariable)
    {
        Stack<char> open = new();
        string end = isVariable ? "}}" : "%}";
        while (position < source.Length)
        {
            int start = position;
            if (open.Count == 0 && (Starts(start, "-" + end) || Starts(start, end) || (!isVariable && Starts(start, "+%}"))))
            {
                tokens.Add(new Token(isVariable ? TokenKind.VariableEnd : TokenKind.BlockEnd, string.Empty, PlaceOf(start)));
                position = source[start] == '-' ? SkipSpace(start + 3) : source[start] == '+' ? start + 3
                    : isVariable ? start + 2 : SkipNewline(start + 2);
                return;
            }

            char c = source[start];
            if (PythonText.IsSpace(c))
            {
                position = SkipSpace(start);
            }
            else if (char.IsAsciiDigit(c))
            {
                ReadNumber();
            }
            else if (c == '_' || char.IsLetter(c))
            {
                while (position < source.Length && (source[position] == '_' || char.IsLetterOrDigit(source[position])))
                {
                    position++;
                }

                tokens.Add(new Token(TokenKind.Name, source[start..position], PlaceOf(start)));
            }
            else if (c is '\'' or '"')
            {
                ReadString(c);
            }
            else
            {
                ReadOperator(open);
            }
        }
    }

    private void ReadOperator(Stack<char> open)
    {
        int start = position;
        string? op = Array.Find(Operators, o => Starts(start, o)) ?? throw Error(start, $"unexpected char {PythonText.Repr(source[start].ToString())} in a tag");
        if (op is "{" or "(" or "[")
        {
            open.Push(op == "{" ? '}' : op == "(" ? ')' : ']');
        }
        else if (op is "}" or ")" or "]")
        {
            if (!open.TryPop(out char expected))
            {
                throw Error(start, $"unexpected '{op}'");
            }

            if (expected != op[0])
            {
                throw Error(start, $"unexpected '{op}', expected '{expected}'");
            }
        }

        position += op.Length;
        tokens.Add(new Token(TokenKind.Operator, op, PlaceOf(start)));
    }

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

    private void Data(int start, int end)
    {
        if (end > start)
        {
            tokens.Add(new Token(TokenKind.Data, source[start..end], PlaceOf(start)));
        }
    }

    private bool Starts(int at, string text) => string.CompareOrdinal(source, at, text, 0, text.Length) == 0;

    private int SkipSpace(int at)
    {
        while (at < source.Length && PythonText.IsSpace(source[at]))
        {
            at++;
        }

        return at;
    }

    private int SkipNewline(int at) => at < source.Length && source[at] == '\n' ? at + 1 : at;

    /// <summary>Line and column; asked in the order of the text, so each newline is counted once.</summary>
    private Position PlaceOf(int at)
    {
        if (at < located)
        {
            (located, line, lineStart) = (0, 1, 0);
        }

        for (int i = source.IndexOf('\n', located, at - located); i >= 0; i = source.IndexOf('\n', i + 1, at - i - 1))
        {
            line++;
            lineStart = i + 1;
        }

        located = at;
        return new Position(line, at - lineStart + 1);
    }

    private TemplateException Error(int at, string problem)
    {
        Position place = PlaceOf(Math.Min(at, source.Length));
        return new TemplateException(name, place.Line, place.Column, TemplateErrorKind.Syntax, problem);
    }
}

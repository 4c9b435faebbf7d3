namespace Bitsmith.Models.Text.Templates;

/// <summary>
/// Cuts a template into tokens as jinja2 3.1 does with trim_blocks and lstrip_blocks on: the first newline behind a block or comment
/// goes, blanks before one that starts a line go, and one newline at the end of the template goes.
/// </summary>
internal sealed partial class TemplateLexer
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

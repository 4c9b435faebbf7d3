namespace Bitsmith.Models.Text;

/// <summary>
/// GLM-4's split of text into pieces, none of which merges with another. A scanner for one regular expression, which is <see cref="Pattern"/>:
/// each alternative is tried in its order, with what backtracking would find.
/// </summary>
internal static class TokenizerSplit
{
    /// <summary>The only expression that this scanner stands for.</summary>
    public const string Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const int MostDigits = 3;

    /// <summary>The end of the piece that begins at a place.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="start">A place before the end, where a character begins.</param>
    public static int End(ReadOnlySpan<byte> text, int start)
    {
        ReadOnlySpan<TokenizerCharacter> classes = TokenizerCharacters.Basic;
        int at = start;
        byte first = text[start];
        TokenizerCharacter kind = Take(text, ref at, classes);
        if (kind == TokenizerCharacter.Letter)
        {
            return Run(text, at, TokenizerCharacter.Letter, classes);
        }

        if (first == '\'')
        {
            int contraction = Contraction(text[at..]);
            if (contraction > 0)
            {
                return at + contraction;
            }
        }

        if (kind == TokenizerCharacter.Number)
        {
            return Digits(text, at, classes);
        }

        if (kind == TokenizerCharacter.LineEnd)
        {
            return White(text, start, classes);
        }

        // One space, or one character that is no letter, digit or line end, leads the letters that follow; a plain space leads others too.
        int next = at;
        TokenizerCharacter following = next < text.Length ? Take(text, ref next, classes) : TokenizerCharacter.LineEnd;
        return following == TokenizerCharacter.Letter ? Run(text, next, TokenizerCharacter.Letter, classes)
            : kind == TokenizerCharacter.Other ? Others(text, at, classes)
            : first == ' ' && following == TokenizerCharacter.Other ? Others(text, next, classes)
            : White(text, start, classes);
    }

    /// <summary>Where the white space that ends at a place begins.</summary>
    public static int WhiteBefore(ReadOnlySpan<byte> text, int end)
    {
        while (end > 0)
        {
            int start = end - 1;
            while ((text[start] & 0xC0) == 0x80)
            {
                start--;
            }

            int at = start;
            if (!IsWhite(Take(text, ref at, TokenizerCharacters.Basic)))
            {
                break;
            }

            end = start;
        }

        return end;
    }

    /// <summary>Where the white space that begins at a place ends.</summary>
    public static int WhiteAfter(ReadOnlySpan<byte> text, int start)
    {
        while (start < text.Length)
        {
            int at = start;
            if (!IsWhite(Take(text, ref at, TokenizerCharacters.Basic)))
            {
                break;
            }

            start = at;
        }

        return start;
    }

    private static bool IsWhite(TokenizerCharacter kind) => kind is TokenizerCharacter.Space or TokenizerCharacter.LineEnd;

    // What follows the apostrophe, upper and lower case mixed. Case folding also makes U+017F, the long s (C5 BF), an s.
    private static int Contraction(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty)
        {
            return 0;
        }

        int first = text[0] | 0x20;
        int second = text.Length > 1 ? text[1] | 0x20 : 0;
        return first switch
        {
            _ when text.StartsWith("\u017F"u8) => 2,
            's' or 't' or 'm' or 'd' => 1,
            'r' or 'v' when second == 'e' => 2,
            'l' when second == 'l' => 2,
            _ => 0,
        };
    }

    private static int Digits(ReadOnlySpan<byte> text, int at, ReadOnlySpan<TokenizerCharacter> classes)
    {
        for (int count = 1; count < MostDigits && at < text.Length; count++)
        {
            int next = at;
            if (Take(text, ref next, classes) != TokenizerCharacter.Number)
            {
                break;
            }

            at = next;
        }

        return at;
    }

    private static int Others(ReadOnlySpan<byte> text, int at, ReadOnlySpan<TokenizerCharacter> classes)
    {
        at = Run(text, at, TokenizerCharacter.Other, classes);
        while (at < text.Length && text[at] is (byte)'\r' or (byte)'\n')
        {
            at++;
        }

        return at;
    }

    // \s*[\r\n]+ takes a run of white space up to its last line end; without one, \s+(?!\S) leaves the last character of the run to what
    // follows it, and \s+ is for the run of one.
    private static int White(ReadOnlySpan<byte> text, int start, ReadOnlySpan<TokenizerCharacter> classes)
    {
        int afterLineEnd = start;
        int last = start;
        int at = start;
        while (at < text.Length)
        {
            int next = at;
            TokenizerCharacter kind = Take(text, ref next, classes);
            if (!IsWhite(kind))
            {
                break;
            }

            last = at;
            at = next;
            if (kind == TokenizerCharacter.LineEnd)
            {
                afterLineEnd = at;
            }
        }

        return afterLineEnd > start ? afterLineEnd
            : at == text.Length || last == start ? at
            : last;
    }

    private static int Run(ReadOnlySpan<byte> text, int at, TokenizerCharacter kind, ReadOnlySpan<TokenizerCharacter> classes)
    {
        while (at < text.Length)
        {
            int next = at;
            if (Take(text, ref next, classes) != kind)
            {
                break;
            }

            at = next;
        }

        return at;
    }

    // Steps over one character of valid UTF-8.
    private static TokenizerCharacter Take(ReadOnlySpan<byte> text, ref int at, ReadOnlySpan<TokenizerCharacter> classes)
    {
        byte first = text[at];
        if (first < 0x80)
        {
            at++;
            return classes[first];
        }

        if (first < 0xE0)
        {
            int two = ((first & 0x1F) << 6) | (text[at + 1] & 0x3F);
            at += 2;
            return classes[two];
        }

        int three = ((text[at + 1] & 0x3F) << 6) | (text[at + 2] & 0x3F);
        if (first < 0xF0)
        {
            at += 3;
            return classes[((first & 0x0F) << 12) | three];
        }

        int four = ((first & 0x07) << 18) | (three << 6) | (text[at + 3] & 0x3F);
        at += 4;
        return TokenizerCharacters.Of(four);
    }
}

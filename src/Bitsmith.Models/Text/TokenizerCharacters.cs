using System.Globalization;
using System.Text;

namespace Bitsmith.Models.Text;

/// <summary>What the split pattern asks of a character: \p{L}, \p{N}, \s, line ends among \s, or none of these.</summary>
internal enum TokenizerCharacter : byte
{
    /// <summary>[^\s\p{L}\p{N}]: punctuation, marks, controls, unassigned.</summary>
    Other,

    /// <summary>\p{L}.</summary>
    Letter,

    /// <summary>\p{N}: decimal digits, letter numbers such as Ⅷ and others such as ½.</summary>
    Number,

    /// <summary>\s without the two line ends.</summary>
    Space,

    /// <summary>[\r\n].</summary>
    LineEnd,
}

/// <summary>
/// Classes of Unicode scalars, by the runtime's tables. They are those of Unicode 16, as in the tokenizers library 0.23; a test counts
/// them, so that a runtime with other tables is noticed.
/// </summary>
internal static class TokenizerCharacters
{
    private static readonly TokenizerCharacter[] BasicPlane = Classify();

    /// <summary>The classes of U+0000 to U+FFFF.</summary>
    public static ReadOnlySpan<TokenizerCharacter> Basic => BasicPlane;

    /// <summary>The class of any scalar.</summary>
    public static TokenizerCharacter Of(int scalar) => scalar <= char.MaxValue ? BasicPlane[scalar] : Category(scalar);

    private static TokenizerCharacter[] Classify()
    {
        TokenizerCharacter[] classes = new TokenizerCharacter[char.MaxValue + 1];
        for (int value = 0; value < classes.Length; value++)
        {
            classes[value] = Category(value);
        }

        return classes;
    }

    // \s is the property White_Space, which is also what Rune.IsWhiteSpace goes by: 25 characters, U+180E and U+200B not among them.
    private static TokenizerCharacter Category(int value) => value is '\r' or '\n'
        ? TokenizerCharacter.LineEnd
        : Rune.TryCreate(value, out Rune scalar) && Rune.IsWhiteSpace(scalar)
        ? TokenizerCharacter.Space
        : CharUnicodeInfo.GetUnicodeCategory(value) switch
        {
            <= UnicodeCategory.OtherLetter => TokenizerCharacter.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => TokenizerCharacter.Number,
            _ => TokenizerCharacter.Other,
        };
}

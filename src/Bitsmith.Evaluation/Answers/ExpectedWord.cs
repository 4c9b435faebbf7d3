using System.Globalization;

namespace Bitsmith.Evaluation.Answers;

/// <summary>Looks for a word in an answer.</summary>
public static class ExpectedWord
{
    /// <summary>
    /// True where the word, or words, stand in a text as whole words, in any case. In scripts without capital letters, such as Chinese, words need not be set apart.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="word">What is looked for; not empty.</param>
    public static bool IsIn(string text, string word)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentException.ThrowIfNullOrWhiteSpace(word);
        string wanted = word.Trim();
        for (int place = text.IndexOf(wanted, StringComparison.OrdinalIgnoreCase); place >= 0; place = text.IndexOf(wanted, place + 1, StringComparison.OrdinalIgnoreCase))
        {
            int end = place + wanted.Length;
            if (!(place > 0 && Joins(text[place - 1], text[place])) && !(end < text.Length && Joins(text[end - 1], text[end])))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Joins(char left, char right) => IsPartOfWord(left) && IsPartOfWord(right);

    private static bool IsPartOfWord(char character) => char.IsLetterOrDigit(character) && char.GetUnicodeCategory(character) != UnicodeCategory.OtherLetter;
}

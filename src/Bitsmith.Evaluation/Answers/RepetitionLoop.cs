namespace Bitsmith.Evaluation.Answers;

/// <summary>
/// A place where a text repeats itself back to back. Tokens i … i + m - 1 are a stretch of period n where each of them from the n-th on equals the one n before it; it holds m / n repeats.
/// A stretch is a loop where it holds at least <see cref="RepeatsAnywhere"/> repeats and <see cref="TokensAnywhere"/> tokens; or, at the end of a text that did not end by itself, at least
/// <see cref="RepeatsAtEnd"/> repeats and <see cref="TokensAtEnd"/> tokens: refrains, rows of a table and laughter end, loops do not.
/// </summary>
/// <param name="Start">First token of the stretch.</param>
/// <param name="Period">n: tokens that are repeated, 1 to <see cref="LongestPeriod"/>.</param>
/// <param name="Length">m: tokens of the stretch.</param>
public sealed record RepetitionLoop(int Start, int Period, int Length)
{
    /// <summary>Repeats that make a loop wherever they stand.</summary>
    public const int RepeatsAnywhere = 16;

    /// <summary>Tokens that make a loop wherever they stand.</summary>
    public const int TokensAnywhere = 64;

    /// <summary>Repeats that make a loop at the end of a text that was cut off.</summary>
    public const int RepeatsAtEnd = 4;

    /// <summary>Tokens that make a loop at the end of a text that was cut off.</summary>
    public const int TokensAtEnd = 48;

    /// <summary>Most tokens that are looked upon as one repeated piece.</summary>
    public const int LongestPeriod = 64;

    /// <summary>How often the piece stands there, the last time maybe not whole.</summary>
    public double Repeats => (double)Length / Period;

    /// <summary>Finds the longest loop of a text, and of those the one with the shortest period.</summary>
    /// <param name="tokens">The text's tokens.</param>
    /// <param name="cutOff">The text did not end by itself: its limit of tokens was reached.</param>
    /// <returns>The loop, or null.</returns>
    public static RepetitionLoop? Find(ReadOnlySpan<int> tokens, bool cutOff)
    {
        RepetitionLoop? longest = null;
        for (int period = 1; period <= Math.Min(LongestPeriod, tokens.Length / 2); period++)
        {
            int start = 0;
            for (int end = period; end <= tokens.Length; end++)
            {
                if (end < tokens.Length && tokens[end] == tokens[end - period])
                {
                    continue;
                }

                RepetitionLoop stretch = new(start, period, end - start);
                if (stretch.IsLoop(cutOff && end == tokens.Length) && stretch.Length > (longest?.Length ?? 0))
                {
                    longest = stretch;
                }

                start = end - period + 1;
            }
        }

        return longest;
    }

    private bool IsLoop(bool atEnd) =>
        (Repeats >= RepeatsAnywhere && Length >= TokensAnywhere) || (atEnd && Repeats >= RepeatsAtEnd && Length >= TokensAtEnd);
}

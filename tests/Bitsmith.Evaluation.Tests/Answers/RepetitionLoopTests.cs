using Bitsmith.Evaluation.Answers;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Evaluation.Tests.Answers;

/// <summary>Tokens here are words and marks; each different one is an id.</summary>
public sealed class RepetitionLoopTests
{
    public static TheoryData<string, string, bool> Loops => new()
    {
        { "one word without end", "The answer is " + Times("the ", 48), true },
        { "one word in the middle", "I see " + Times("very ", 64) + "much of it , and that is all .", false },
        { "a phrase at the end", "He went home . " + Times("He said that he was sorry . ", 7), true },
        { "a phrase in the middle", Times("to the sea and ", 16) + "then he slept .", false },
        { "a sentence of 20 words, cut off in the fourth and a bit", "So : " + Times("the old man looked at the grey sea and thought of all the ships that had once passed . ", 4) + "the old", true },
        { "two words in turns", Times("no yes ", 24), true },
    };

    [Theory]
    [MemberData(nameof(Loops))]
    public void Texts_that_loop_are_found(string what, string text, bool cutOff) => Assert.True(RepetitionLoop.Find(Ids(text), cutOff) is not null, what);

    public static TheoryData<string, string, bool> Repetitions => new()
    {
        { "a refrain that ends", Times("row row row your boat gently down the stream , merrily merrily merrily merrily life is but a dream . ", 4), false },
        { "laughter", "He said " + Times("ha ", 40) + "and went .", false },
        { "laughter at the end, cut off", "He said " + Times("ha ", 40), true },
        { "the rule of a table with fifteen columns", Times("| --- ", 15) + "|", false },
        { "counting, cut off", string.Join(" , ", Enumerable.Range(1, 100)), true },
        { "a list whose items begin alike, cut off", string.Concat(Enumerable.Range(1, 20).Select(i => $"{i} . The word number {i} is word{i} . ")), true },
        { "three verses with one refrain each", string.Concat(Enumerable.Range(1, 5).Select(i => $"verse {i} tells a tale of day {i} . and the green grass grew all around all around and the green grass grew all around . ")), false },
        { "an array of zeros", "x = [ " + Times("0 , ", 15) + "0 ]", false },
        { "nothing", string.Empty, true },
    };

    [Theory]
    [MemberData(nameof(Repetitions))]
    public void Texts_that_repeat_themselves_for_a_reason_are_not(string what, string text, bool cutOff)
    {
        RepetitionLoop? found = RepetitionLoop.Find(Ids(text), cutOff);

        Assert.True(found is null, $"{what}: {found}");
    }

    [Fact]
    public void The_end_counts_as_a_loop_only_where_the_text_was_cut_off()
    {
        int[] ids = Ids("So : " + Times("he said that he would come . ", 7));

        Assert.Null(RepetitionLoop.Find(ids, cutOff: false));
        Assert.Equal(new RepetitionLoop(2, 7, 49), RepetitionLoop.Find(ids, cutOff: true));
    }

    [Fact]
    public void Any_piece_repeated_often_enough_between_any_texts_is_found_with_its_place_and_period() => Prop.ForAll(
        Gen.Choose(1, RepetitionLoop.LongestPeriod).ToArbitrary(),
        Gen.Choose(0, 30).ToArbitrary(),
        Gen.Choose(0, 30).ToArbitrary(),
        (period, before, after) =>
        {
            // All tokens differ but those of the piece.
            int repeats = Math.Max(RepetitionLoop.RepeatsAnywhere, (RepetitionLoop.TokensAnywhere + period - 1) / period);
            int[] piece = [.. Enumerable.Range(1000, period)];
            int[] text = [.. Enumerable.Range(0, before), .. Enumerable.Repeat(piece, repeats).SelectMany(tokens => tokens), .. Enumerable.Range(2000, after)];

            return RepetitionLoop.Find(text, cutOff: false) == new RepetitionLoop(before, period, repeats * period);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Tokens_that_all_differ_never_loop() => Prop.ForAll(
        Gen.Choose(0, 500).ToArbitrary(),
        count => RepetitionLoop.Find([.. Enumerable.Range(0, count)], cutOff: true) is null).QuickCheckThrowOnFailure();

    private static string Times(string piece, int count) => string.Concat(Enumerable.Repeat(piece, count));

    private static int[] Ids(string text)
    {
        Dictionary<string, int> ids = [];
        return [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => ids.TryGetValue(word, out int id) ? id : ids[word] = ids.Count)];
    }
}

using System.Text;
using Bitsmith.Models.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Models.Tests.Text;

/// <summary>What holds for every text and every list of ids.</summary>
public sealed class TokenizerLawTests
{
    private static readonly Tokenizer Sample = TokenizerSample.Shared;

    private static readonly string[] Parts =
    [
        "a", "Hello", " world", " ", "  ", "\n", "\r\n", "\t", "1", "234567", "'s", "'LL", "中文", "ー", "é", "e\u0301", "😀", "👨‍👩‍👧", "<|user|>", "<|us", "[gMASK]", "/nothink",
        "!", "...", "\0", "\u00A0", "𠀀", "אב", "١٢",
    ];

    [Fact]
    public void Text_comes_back_from_its_ids() => Check(
        Gen.Elements(Parts).ArrayOf().Select(string.Concat),
        text =>
        {
            Assert.Equal(text, Sample.Decode(Sample.Encode(text), skipSpecial: false));
            Assert.Equal(text, Sample.Decode(Sample.Encode(text, parseSpecial: false), skipSpecial: true));
        });

    [Fact]
    public void Streamed_text_is_decoded_text() => Check(
        Gen.Zip(Gen.OneOf(Gen.Choose(0, 255), Gen.Choose(0, 4100)).ArrayOf(), Gen.Elements(true, false)),
        given =>
        {
            (int[] ids, bool skip) = given;
            StreamingDecoder stream = new(Sample, skip);
            StringBuilder streamed = new();
            foreach (int id in ids)
            {
                streamed.Append(stream.Append(id));
            }

            streamed.Append(stream.Flush());
            Assert.Equal(Sample.Decode(ids, skip), streamed.ToString());
            Assert.Equal("a", stream.Append(64));
        });

    [Fact]
    public void Half_a_surrogate_pair_counts_as_a_replacement_character() => Check(
        Gen.Elements("a", "\uD83D", "\uDE00", " ", "<|user|>").ArrayOf().Select(string.Concat),
        text => Assert.Equal(Sample.Encode(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text))), Sample.Encode(text)));

    [Fact]
    public void Short_and_long_pieces_merge_as_the_definition_says()
    {
        foreach (bool ignoreMerges in (bool[])[false, true])
        {
            Tokenizer small = TokenizerSample.Load(TokenizerSample.Small(ignoreMerges));
            (string Left, string Right)[] merges = [("b", "c"), ("a", "b"), ("a", "bc"), ("Ġ", "a"), ("a", "a"), ("aa", "aa")];
            Check(
                Gen.Elements("a", "a", "b", "c").ArrayOf().Select(string.Concat),
                text => Assert.Equal(text == "" ? [] : Defined(text, merges), small.Encode(text).Select(small.TokenOf)));
            string run = new('a', 1001);
            Assert.Equal([.. Enumerable.Repeat("aaaa", 250), "a"], small.Encode(run).Select(small.TokenOf));
        }
    }

    [Fact]
    public void A_piece_that_is_a_token_stays_whole_only_where_merges_are_ignored()
    {
        Assert.Equal([262], TokenizerSample.Load(TokenizerSample.Small(ignoreMerges: true)).Encode("xyz"));
        Assert.Equal(["x", "y", "z"], Names(TokenizerSample.Load(TokenizerSample.Small(ignoreMerges: false)), "xyz"));
        static IEnumerable<string> Names(Tokenizer tokenizer, string text) => tokenizer.Encode(text).Select(tokenizer.TokenOf);
    }

    [Fact]
    public void A_piece_of_a_million_characters_takes_no_quadratic_time()
    {
        string text = string.Concat(Enumerable.Repeat("abcdefghij中文", 80_000));
        int[] ids = Sample.Encode(text);
        Assert.Equal(text, Sample.Decode(ids, skipSpecial: false));
    }

    [Fact]
    public void Many_threads_get_the_same_ids()
    {
        string[] texts = [.. Enumerable.Range(0, 200).Select(i => string.Concat(Enumerable.Range(0, 50).Select(k => Parts[((i * 7) + (k * k)) % Parts.Length])))];
        int[][] expected = [.. texts.Select(text => Sample.Encode(text))];
        Parallel.For(0, 2000, i => Assert.Equal(expected[i % texts.Length], Sample.Encode(texts[i % texts.Length])));
    }

    // Merges the leftmost pair of the lowest rank, one at a time.
    private static List<string> Defined(string piece, (string Left, string Right)[] merges)
    {
        List<string> symbols = [.. piece.Select(character => character.ToString())];
        while (true)
        {
            (int Rank, int At) best = Enumerable.Range(0, Math.Max(0, symbols.Count - 1))
                .Select(at => (Rank: Array.IndexOf(merges, (symbols[at], symbols[at + 1])), At: at))
                .Where(pair => pair.Rank >= 0).DefaultIfEmpty((Rank: -1, At: 0)).Min();
            if (best.Rank < 0)
            {
                return symbols;
            }

            symbols[best.At] += symbols[best.At + 1];
            symbols.RemoveAt(best.At + 1);
        }
    }

    private static void Check<T>(Gen<T> values, Action<T> law) =>
        Prop.ForAll(values.ToArbitrary(), law).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(2000).WithEndSize(200));
}

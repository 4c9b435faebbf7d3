using System.Text;
using System.Text.RegularExpressions;
using Bitsmith.Models.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Models.Tests.Text;

/// <summary>The scanner that stands for GLM-4's regular expression.</summary>
public sealed class TokenizerSplitTests
{
    // What the alternatives tell apart, and neighbours of it.
    private const string Alphabet = "aZéΩ中ー1२Ⅷ½ \u00A0\u3000\t\n\r\u0085\u2028\u200B.,!<_€\u0301'''sStTrReEvVmMlLdDx";

    [Fact]
    public void Pieces_are_those_of_the_regular_expression()
    {
        // .NET's engine looks at UTF-16 units and folds no long s: equal on characters of the basic plane without it.
        Regex expression = new(TokenizerSplit.Pattern, RegexOptions.CultureInvariant);
        Gen<string> texts = Gen.Elements(Alphabet.ToCharArray()).ArrayOf().Select(characters => new string(characters));
        Prop.ForAll(texts.ToArbitrary(), text => Assert.Equal(expression.Matches(text).Select(match => match.Value), Pieces(text)))
            .Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(20_000));
    }

    // Recorded from the tokenizers library, which folds the long s but no ligature.
    [Theory]
    [InlineData("'\u017Fx", "'\u017F|x")]
    [InlineData("'rEx", "'rE|x")]
    [InlineData("'lLx", "'lL|x")]
    [InlineData("'\uFB06x", "'\uFB06x")]
    [InlineData("'Lx", "'Lx")]
    [InlineData("'", "'")]
    [InlineData("'l", "'l")]
    [InlineData("x's", "x|'s")]
    public void Contractions_are_cut_as_in_the_library(string text, string pieces) => Assert.Equal(pieces.Split('|'), Pieces(text));

    [Theory]
    [InlineData("\U00010400\U00020000\U0001E900", "\U00010400\U00020000\U0001E900")]
    [InlineData("\U0001D7CE\U0001D7CF\U0001D7D0\U0001D7D1", "\U0001D7CE\U0001D7CF\U0001D7D0|\U0001D7D1")]
    [InlineData("😀\U00020000 😀\n\n x", "😀\U00020000| 😀\n\n| x")]
    public void Characters_beyond_the_basic_plane_have_their_classes(string text, string pieces) => Assert.Equal(pieces.Split('|'), Pieces(text));

    [Fact]
    public void The_classes_are_those_of_unicode_16_which_the_library_has()
    {
        int[] counts = new int[5];
        for (int value = 0; value <= 0x10FFFF; value++)
        {
            counts[(int)TokenizerCharacters.Of(value)]++;
        }

        // Counted by running \p{L}, \p{N} and \s of tokenizers 0.23.1 over all characters.
        Assert.Equal([0x110000 - 141_028 - 1_911 - 25, 141_028, 1_911, 23, 2], counts);
    }

    private static IEnumerable<string> Pieces(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        for (int start = 0, end; start < utf8.Length; start = end)
        {
            end = TokenizerSplit.End(utf8, start);
            yield return Encoding.UTF8.GetString(utf8, start, end - start);
        }
    }
}

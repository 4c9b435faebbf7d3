using System.Diagnostics;
using Bitsmith.Checkpoints.CompressedTensors;

namespace Bitsmith.Checkpoints.Tests.CompressedTensors;

/// <summary>The expectations are those of Python's <c>re.match</c> and of compressed-tensors' <c>match_targets</c>.</summary>
public sealed class ModulePatternTests
{
    [Theory]
    [InlineData("re:model", "model.layers.0", true)] // anchored at the start only
    [InlineData("re:layers", "model.layers.0", false)]
    [InlineData("re:.*layers", "model.layers.0", true)]
    [InlineData("re:.*mlp$", "model.mlp", true)]
    [InlineData("re:.*mlp$", "model.mlp.gate", false)]
    [InlineData("re:.*mlp$", "model.mlp\n", true)] // $ also stands before a last line feed
    [InlineData("re:.*mlp\\Z", "model.mlp", true)]
    [InlineData("re:.*mlp\\Z", "model.mlp\n", false)] // \Z does not
    [InlineData("re:a\\\\Z", "a\\Z", true)] // an escaped backslash, then a letter
    [InlineData("re:a\\\\\\Z", "a\\", true)] // an escaped backslash, then the end
    [InlineData("re:a|b", "b.c", true)] // both alternatives are anchored
    [InlineData("re:a|b", "c.b", false)]
    [InlineData("re:(?P<part>a+)\\.\\d+$", "aa.12", true)]
    [InlineData("re:(?P<part>a+)\\.\\d+$", "aa.x", false)]
    [InlineData("re:MODEL", "model", false)]
    [InlineData("re:(?i)MODEL", "model", true)]
    [InlineData("re:model\\.layers\\.(0|1)\\.", "model.layers.1.mlp", true)]
    [InlineData("re:model\\.layers\\.(0|1)\\.", "model.layers.10.mlp", false)]
    [InlineData("re:model\\.visual.*", "model.visual.blocks.0.attn.qkv", true)]
    [InlineData("re:model.a", "modelXa", true)] // a dot is any character
    [InlineData("re:(?!.*lm_head).*", "model.lm_head", false)]
    [InlineData("re:", "anything", true)]
    [InlineData("re:^a", "a", true)]
    [InlineData("re:.*b", "a\nb", false)] // a dot is no line feed
    public void A_pattern_matches_where_pythons_re_match_does(string pattern, string name, bool expected) =>
        Assert.Equal(expected, new ModulePattern(pattern).MatchesName(name));

    [Theory]
    [InlineData("lm_head", "lm_head", true)]
    [InlineData("lm_head", "model.lm_head", false)]
    [InlineData("lm_head", "lm_head.weight", false)]
    [InlineData("lm_head", "LM_HEAD", false)]
    [InlineData("model.*", "model.layers", false)] // no regular expression without re:
    [InlineData("RE:model", "model", false)]
    [InlineData("", "", true)]
    public void Anything_else_is_the_full_name_or_the_class(string pattern, string name, bool expected)
    {
        Assert.Equal(expected, new ModulePattern(pattern).MatchesName(name));
        Assert.Equal(expected, new ModulePattern(pattern).MatchesClass(name));
    }

    [Theory]
    [InlineData("re:Linear")]
    [InlineData("re:.*")]
    public void A_regular_expression_never_matches_a_class(string pattern) => Assert.False(new ModulePattern(pattern).MatchesClass("Linear"));

    [Fact]
    public void Plain_strings_rank_before_regular_expressions_and_the_text_stays_as_written()
    {
        Assert.Equal((0, "Linear"), (new ModulePattern("Linear").Rank, new ModulePattern("Linear").Text));
        Assert.Equal((1, "re:(?P<x>a)\\Z"), (new ModulePattern("re:(?P<x>a)\\Z").Rank, new ModulePattern("re:(?P<x>a)\\Z").Text));
    }

    [Theory]
    [InlineData("re:(")]
    [InlineData("re:[a")]
    [InlineData("re:*")]
    [InlineData("re:a)")]
    [InlineData("re:a)|(b")] // balanced only by what surrounds it
    [InlineData("re:(?P<x>a")]
    [InlineData("re:a{2,1}")]
    [InlineData("re:\\")]
    public void An_invalid_regular_expression_is_refused_with_its_text(string pattern)
    {
        ModulePatternException refusal = Assert.Throws<ModulePatternException>(() => new ModulePattern(pattern));
        Assert.Contains($"'{pattern}'", refusal.Message, StringComparison.Ordinal);
        Assert.IsType<ArgumentException>(refusal, exactMatch: false);
    }

    [Fact]
    public void A_regular_expression_that_takes_forever_is_refused_within_seconds()
    {
        ModulePattern pattern = new("re:(a+)+$");
        string name = new string('a', 40) + "!";
        Stopwatch clock = Stopwatch.StartNew();
        ModulePatternException refusal = Assert.Throws<ModulePatternException>(() => pattern.MatchesName(name));
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 20);
        Assert.Contains("re:(a+)+$", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(name, refusal.Message, StringComparison.Ordinal);
    }
}

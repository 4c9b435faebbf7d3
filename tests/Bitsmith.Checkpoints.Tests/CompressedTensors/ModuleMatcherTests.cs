using Bitsmith.Checkpoints.CompressedTensors;

namespace Bitsmith.Checkpoints.Tests.CompressedTensors;

public sealed class ModuleMatcherTests
{
    private static ModuleMatcher<string[]> Matcher(string[][] groups, params string[] ignore) => new(groups, group => group, ignore);

    [Theory]
    [InlineData("model.a.down_proj", "model.a.down_proj")] // a name before all else
    [InlineData("model.b.down_proj", "re:.*b\\.down_proj")] // of regular expressions the alphabetically first
    [InlineData("model.c.down_proj", "re:.*down_proj")]
    [InlineData("model.c.up_proj", "Linear")] // a class where no name matches
    public void Names_win_over_classes_plain_strings_over_expressions_and_then_the_alphabetically_first(string module, string target)
    {
        ModuleMatcher<string[]> matcher = Matcher([["Linear", "re:.*down_proj"], ["re:.*b\\.down_proj", "model.a.down_proj"]]);

        Assert.Equal(target, matcher.FindTarget(module, "Linear")?.Pattern.Text);
        Assert.Contains(target, matcher.FindGroup(module, "Linear")!);
    }

    [Fact]
    public void What_is_ignored_belongs_to_no_group_whatever_targets_it()
    {
        ModuleMatcher<string[]> matcher = Matcher([["lm_head", "Linear"]], "lm_head", "re:.*visual.*", "Embedding");

        Assert.Null(matcher.FindGroup("lm_head", "Linear"));
        Assert.Equal("lm_head", matcher.FindTarget("lm_head", "Linear")?.Pattern.Text);
        Assert.Equal("re:.*visual.*", matcher.FindIgnore("model.visual.merger", "Linear")?.Text);
        Assert.Equal("Embedding", matcher.FindIgnore("model.embed_tokens", "Embedding")?.Text);
        Assert.NotNull(matcher.FindGroup("model.layers.0.mlp.down_proj", "Linear"));
    }

    [Fact]
    public void What_no_entry_matches_has_neither_target_nor_group()
    {
        ModuleMatcher<string[]> matcher = Matcher([["Linear"]]);

        Assert.Null(matcher.FindTarget("model.norm", "RmsNorm"));
        Assert.Null(matcher.FindGroup("model.norm", "RmsNorm"));
        Assert.Null(matcher.FindIgnore("model.norm", "RmsNorm"));
    }
}

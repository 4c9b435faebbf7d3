using System.Diagnostics;
using Bitsmith.Models.Text.Templates;

namespace Bitsmith.Models.Tests.Text.Templates;

/// <summary>Templates that want too much end soon, with an error that says so.</summary>
public sealed class TemplateBoundTests
{
    private static readonly Dictionary<string, TemplateValue> Nothing = [];

    [Theory]
    [InlineData("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "loops ran more than")]
    [InlineData("{% for a in range(100000) if a < 0 %}{% endfor %}{% for a in range(99999) if a < 0 %}{% endfor %}", "loops ran more than", 150_000)]
    [InlineData("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "macros call one another")]
    [InlineData("{% macro f() %}{% call f() %}{% endcall %}{{ caller }}{% endmacro %}{{ f() }}", "macros call one another")]
    [InlineData("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "macros call one another")]
    [InlineData("{{ 'a' * 1000000000000 }}", "a text grew longer")]
    [InlineData("{{ [1] * 1000000000 }}", "a list grew longer")]
    [InlineData("{{ 'a' * 60000000 }}{{ 'a' * 60000000 }}", "a text grew longer")]
    [InlineData("{% set ns = namespace(x='ab') %}{% for a in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "a text grew longer")]
    [InlineData("{% set ns = namespace(x='ab') %}{% for a in range(100) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}", "a text grew longer")]
    [InlineData("{% set ns = namespace(x=[1]) %}{% for a in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}", "")]
    [InlineData("{% set ns = namespace(x=[1]) %}{% for a in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}", "")]
    [InlineData("{% set ns = namespace(x=(1,)) %}{% for a in range(100) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}", "a key is nested")]
    [InlineData("{% set ns = namespace(x=[1], y=[1]) %}{% for a in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "")]
    [InlineData("{% set ns = namespace(x=[]) %}{% for a in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "nested more than 200")]
    [InlineData("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "nested more than 200")]
    [InlineData("{{ 9 ** 99999999999 }}", "more than 4300 digits")]
    [InlineData("{{ 10 ** 4000 * 10 ** 4000 }}", "more than 4300 digits")]
    [InlineData("{{ range(100001) }}", "Range too big")]
    [InlineData("{{ '%999999999d' % 1 }}", "a format asks for")]
    [InlineData("{{ '{:999999999}'.format(1) }}", "a format asks for")]
    [InlineData("{{ 'a'.center(999999999999) }}", "a text grew longer")]
    [InlineData("{{ [1]|batch(999999999, 0)|list }}", "a list grew longer")]
    [InlineData("{{ 'a\n'|indent(999999999) }}", "a format asks for")]
    [InlineData("{% set s = 'a' * 60000000 %}{% for a in range(100000) %}{% set x = s.strip() %}{% endfor %}", "steps")]
    [InlineData("{% set s = 'a' * 60000000 %}{% set t = s ~ '' %}{% for a in range(100000) %}{% set x = s == t %}{% endfor %}", "steps")]
    [InlineData("{% set s = 'a' * 60000000 %}{% for a in range(100000) %}{% set x = s[a] %}{% endfor %}", "steps")]
    [InlineData("{% set s = 'a' * 60000000 %}{{ ([s] * 100000)|sort }}", "steps")]
    [InlineData("{% set s = 'a' * 60000000 %}{% for a in range(100000) %}{% set x = {s: 1} %}{% endfor %}", "steps")]
    public void A_template_that_wants_too_much_is_stopped(string source, string words, int iterations = 1_000_000)
    {
        long start = Stopwatch.GetTimestamp();
        ChatTemplate template = ChatTemplate.Parse(source, "greedy", new TemplateOptions { MaxLoopIterations = iterations, MaxSteps = 20_000_000 });
        TemplateException problem = Assert.Throws<TemplateException>(() => template.Render(Nothing, TestContext.Current.CancellationToken));
        Assert.Equal(TemplateErrorKind.Limit, problem.Kind);
        Assert.Contains(words, problem.Message, StringComparison.Ordinal);
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(30));
    }

    [Theory]
    [InlineData("(", ")")]
    [InlineData("[", "]")]
    [InlineData("{1:", "}")]
    [InlineData("not ", "")]
    [InlineData("- ", "")]
    [InlineData("f(", ")")]
    [InlineData("1 if 1 else ", "")]
    [InlineData("{% if 1 %}", "{% endif %}")]
    public void Deep_nesting_is_refused_when_the_template_is_read(string open, string close)
    {
        string inner = string.Concat(Enumerable.Repeat(open, 100_000)) + "1" + string.Concat(Enumerable.Repeat(close, 100_000));
        string source = open.StartsWith("{%", StringComparison.Ordinal) ? inner : $"{{{{ {inner} }}}}";
        TemplateException problem = Assert.Throws<TemplateException>(() => ChatTemplate.Parse(source, "deep", new TemplateOptions { MaxSourceLength = 10_000_000 }));
        Assert.Equal(TemplateErrorKind.Limit, problem.Kind);
    }

    [Fact]
    public void A_long_row_of_operators_does_not_overflow_the_stack()
    {
        ChatTemplate template = ChatTemplate.Parse($"{{{{ 1{string.Concat(Enumerable.Repeat(" + 1", 200_000))} }}}}", "long");
        TemplateException problem = Assert.Throws<TemplateException>(() => template.Render(Nothing, TestContext.Current.CancellationToken));
        Assert.Equal(TemplateErrorKind.Limit, problem.Kind);
    }

    [Fact]
    public void A_template_may_not_be_longer_than_its_bound()
    {
        TemplateException problem = Assert.Throws<TemplateException>(() => ChatTemplate.Parse("abc", "long", new TemplateOptions { MaxSourceLength = 2 }));
        Assert.Equal(TemplateErrorKind.Limit, problem.Kind);
    }

    [Fact]
    public void A_rendering_can_be_cancelled()
    {
        ChatTemplate template = ChatTemplate.Parse("{% for a in range(100000) %}{{ a }}{% endfor %}", "slow");
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => template.Render(Nothing, cancelled.Token));
    }
}

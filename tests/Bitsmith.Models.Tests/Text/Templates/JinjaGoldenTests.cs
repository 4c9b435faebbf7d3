using System.Text.Json;
using Bitsmith.Models.Text.Templates;

namespace Bitsmith.Models.Tests.Text.Templates;

/// <summary>Small templates rendered by jinja2 3.1.6 in the environment that transformers sets up, and what came out.</summary>
public sealed class JinjaGoldenTests
{
    private const string Data = """
        {"s": "H\u00e9llo, W\u00f6rld", "e": "a\ud83d\ude00b", "n": 7, "f": 2.5, "l": [3, 1, 2], "d": {"b": 1, "a": [1, "x"], "items": 5}, "t": true, "z": null, "people": [{"name": "Bo", "age": 3, "city": {"n": "X"}}, {"name": "al", "age": 1, "city": {"n": "y"}}, {"name": "Cy", "age": 2}], "empty": [], "lines": "one\ntwo\n\nthree\n", "html": "<a href='x'>&\"", "nested": [[1, 2], [3, [4]]]}
        """;

    private static readonly Dictionary<string, TemplateValue> Values =
        JsonDocument.Parse(Data).RootElement.EnumerateObject().ToDictionary(p => p.Name, p => TemplateValue.From(p.Value));

    [Fact]
    public void Expressions_with_operators_give_what_jinja2_gives() => Compare(JinjaOperatorGoldens.All);

    [Fact]
    public void Expressions_with_filters_and_tests_give_what_jinja2_gives() => Compare(JinjaFilterGoldens.All);

    [Fact]
    public void Statements_and_white_space_give_what_jinja2_gives() => Compare(JinjaStatementGoldens.All);

    [Fact]
    public void What_jinja2_refuses_is_refused_for_the_same_reason()
    {
        List<string> wrong = [];
        foreach ((string template, string expected) in JinjaErrorGoldens.All)
        {
            string found = Rendered(template, out TemplateErrorKind? kind);
            int colon = expected.IndexOf(": ", StringComparison.Ordinal);
            bool sameWords = found == expected[(colon + 2)..];
            bool same = expected[..colon] switch
            {
                "UndefinedError" => sameWords && kind == TemplateErrorKind.Undefined,
                "TemplateError" => sameWords && kind == TemplateErrorKind.Raised,
                "SecurityError" => sameWords && kind == TemplateErrorKind.Security,
                "TemplateSyntaxError" or "SyntaxError" => kind == TemplateErrorKind.Syntax,
                "TemplateAssertionError" => sameWords && kind is TemplateErrorKind.Syntax or TemplateErrorKind.Operation,
                "OverflowError" => kind == TemplateErrorKind.Limit,
                _ => kind == TemplateErrorKind.Operation,
            };
            if (!same)
            {
                wrong.Add($"{template}\n  expected {expected}\n  found    {kind}: {found}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    private static void Compare((string Template, string Text)[] goldens)
    {
        IEnumerable<string> wrong = goldens
            .Select(g => (g.Template, g.Text, Found: Rendered(g.Template, out _)))
            .Where(g => g.Found != g.Text)
            .Select(g => $"{g.Template}\n  expected {g.Text}\n  found    {g.Found}");
        string report = string.Join("\n", wrong);
        Assert.True(report.Length == 0, report);
    }

    private static string Rendered(string template, out TemplateErrorKind? kind)
    {
        kind = null;
        try
        {
            return ChatTemplate.Parse(template, "snippet").Render(Values, TestContext.Current.CancellationToken);
        }
        catch (TemplateException problem)
        {
            kind = problem.Kind;
            return problem.Problem;
        }
    }
}

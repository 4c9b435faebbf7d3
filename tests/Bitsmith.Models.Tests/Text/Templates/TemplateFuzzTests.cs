using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Bitsmith.Models.Text.Templates;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Models.Tests.Text.Templates;

/// <summary>Damaged templates fail with a <see cref="TemplateException"/> or render; nothing else comes out, and soon.</summary>
public sealed class TemplateFuzzTests
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "goldens", "text", "chat_templates");

    private static readonly string[] Sources =
    [
        .. Directory.GetFiles(Folder).Order(StringComparer.Ordinal).Select(File.ReadAllText),
        .. JinjaStatementGoldens.All.Select(g => g.Template),
        .. JinjaOperatorGoldens.All.Select(g => g.Template),
        .. JinjaFilterGoldens.All.Select(g => g.Template),
    ];

    private static readonly string[] Pieces =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "(", ")", "[", "]", "{", "}", "|", ".", ",", ":", "=", "~", "'", "\"", "\\", "\n", " ",
        "**", "//", "%", "*", "0", "1", "-1", "1e308", "99999999999", "none", "loop", "messages", "in ", "is ", "not ", "if ", "else ", "endfor",
        "for ", "set ", "ns.x", "join", "sort", "[::-1]", "tojson", "format", "\ud83d", "😀", "é", "\0", "caller()", "x",
    ];

    private static readonly JsonElement Messages = JsonDocument.Parse(
        """[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"é😀"}]},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","content":"ok"}]""")
        .RootElement;

    [Fact]
    public void Damaged_templates_throw_nothing_but_template_exceptions_and_end_quickly()
    {
        TemplateOptions options = new() { MaxSteps = 300_000, MaxLoopIterations = 20_000, MaxOutputLength = 1_000_000 };
        Dictionary<string, TemplateValue> values = new()
        {
            ["messages"] = TemplateValue.From(Messages),
            ["tools"] = TemplateValue.From(Messages),
            ["add_generation_prompt"] = TemplateValue.From(true),
            ["l"] = TemplateValue.From([TemplateValue.From(3), TemplateValue.From(1)]),
            ["s"] = TemplateValue.From("Héllo"),
            ["n"] = TemplateValue.From(7),
            ["f"] = TemplateValue.From(2.5),
        };
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(4000), Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            string source = Mutated(new Random(seed));
            long start = Stopwatch.GetTimestamp();
            try
            {
                ChatTemplate.Parse(source, "fuzz", options).Render(values, cancellation);
            }
            catch (TemplateException problem)
            {
                Assert.True(problem.Line >= 1 && problem.Column >= 1);
            }

            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(20), source);
        }));
    }

    private static string Mutated(Random random)
    {
        StringBuilder text = new(Sources[random.Next(Sources.Length)]);
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            int at = random.Next(text.Length + 1), length = Math.Min(random.Next(1, 6), text.Length - at);
            switch (random.Next(4))
            {
                case 0:
                    text.Remove(at, length);
                    break;
                case 1:
                    text.Insert(at, Pieces[random.Next(Pieces.Length)]);
                    break;
                case 2:
                    text.Remove(at, length).Insert(at, Pieces[random.Next(Pieces.Length)]);
                    break;
                default:
                    text.Insert(at, Sources[random.Next(6, Sources.Length)]);
                    break;
            }
        }

        return text.ToString();
    }
}

using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Text.Templates;

namespace Bitsmith.Models.Tests.Text.Templates;

public sealed class ChatTemplateTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("bitsmith-template-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData("a\nb {{ x.y }}", 2, 7, TemplateErrorKind.Undefined, "'x' is undefined")]
    [InlineData("a\r\n{% for a in 1 %}{% endfor %}", 2, 13, TemplateErrorKind.Operation, "'int' object is not iterable")]
    [InlineData("\n\n  {{ 1 +\n 'a' }}", 3, 8, TemplateErrorKind.Operation, "unsupported operand type(s) for +: 'int' and 'str'")]
    [InlineData("{{ 1 }\n", 1, 6, TemplateErrorKind.Syntax, "unexpected '}'")]
    [InlineData("{% if a %}\n{% fi %}", 2, 4, TemplateErrorKind.Syntax, "Encountered unknown tag 'fi'. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'.")]
    [InlineData("\n{{ 'a", 2, 4, TemplateErrorKind.Syntax, "a string starts with ' and does not end")]
    [InlineData("\n\n{% include 'x' %}", 3, 4, TemplateErrorKind.Unsupported, "the tag 'include' is not available to chat templates, which consist of one file")]
    [InlineData("{{\nlipsum() }}", 2, 7, TemplateErrorKind.Unsupported, "lipsum is not available to chat templates: its text is random")]
    [InlineData("{{ 1|random }}", 1, 6, TemplateErrorKind.Unsupported, "the filter 'random' is not available to chat templates")]
    [InlineData("{{ range }}", 1, 1, TemplateErrorKind.Unsupported, "a type is not text: print its elements or a call of it instead, for a generator with |list or |join")]
    [InlineData("{% break %}", 1, 4, TemplateErrorKind.Syntax, "'break' stands outside of a loop, or in a macro or block inside of one")]
    [InlineData("{% macro f() %}\n{{ none.a.b }}{% endmacro %}\n{{ f() }}", 2, 10, TemplateErrorKind.Undefined, "'None' has no attribute 'a'")]
    [InlineData("{% if m %}\n{{ raise_exception('no system messages') }}{% endif %}", 2, 19, TemplateErrorKind.Raised, "no system messages")]
    public void An_error_names_template_line_and_column(string source, int line, int column, TemplateErrorKind kind, string problem)
    {
        TemplateException found = Assert.Throws<TemplateException>(
            () => ChatTemplate.Parse(source, "mine").Render(Values(("m", "x")), TestContext.Current.CancellationToken));
        Assert.Equal((line, column, kind, problem, "mine"), (found.Line, found.Column, found.Kind, found.Problem, found.Template));
        Assert.Equal($"mine, line {line}, column {column}: {problem}", found.Message);
    }

    [Fact]
    public void Markers_are_those_that_the_text_holds_each_once() => Assert.Equal(
        ["[gMASK]", "<sop>", "<|user|>", "<|begin_of_image|>"],
        ChatTemplate.Parse("[gMASK]<sop>{% if m %}<|user|>{% endif %}{{ '<|begin_of_image|>' }}<think>[MASK]<| user|>a<|user|>", "mine").Markers);

    [Fact]
    public void One_template_renders_on_many_threads_at_once()
    {
        ChatTemplate template = ChatTemplate.Parse("{% set ns = namespace(n=0) %}{% for i in range(50) %}{% set ns.n = ns.n + x|int %}{% endfor %}{{ ns.n }}", "shared");
        string[] results = new string[200];
        Parallel.For(0, results.Length, i => results[i] = template.Render(Values(("x", $"{i}")), TestContext.Current.CancellationToken));
        Assert.Equal(Enumerable.Range(0, results.Length).Select(i => $"{i * 50}"), results);
    }

    [Fact]
    public void The_time_of_a_template_is_that_of_its_clock()
    {
        TemplateOptions options = new() { Clock = new FixedClock() };
        ChatTemplate template = ChatTemplate.Parse("{{ strftime_now('%d %b %Y, %A %-d %H:%M:%S %j %p %I %y %% %e') }}", "clock", options);
        Assert.Equal("05 Mar 2024, Tuesday 5 14:07:09 065 PM 02 24 %  5", template.Render(Values(), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_conversation_gets_the_names_that_transformers_gives()
    {
        ChatTemplate template = ChatTemplate.Parse("{{ messages|length }} {{ tools }} {{ documents }} {{ add_generation_prompt }} {{ bos_token }} {{ thinking }}", "names");
        Dictionary<string, JsonElement> kwargs = new() { ["bos_token"] = Json("\"<s>\""), ["thinking"] = Json("1.0") };
        Assert.Equal("1 None None False <s> 1.0", template.RenderChat(Json("[{}]"), null, false, kwargs, TestContext.Current.CancellationToken));
        Assert.Equal("0 [] None True  ", template.RenderChat(Json("[]"), Json("[]"), cancellation: TestContext.Current.CancellationToken));
    }

    [Fact]
    public void Data_that_is_no_conversation_is_refused()
    {
        ChatTemplate template = ChatTemplate.Parse("x", "x");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Assert.Throws<ArgumentException>(() => template.RenderChat(Json("{}"), cancellation: cancellation));
        Assert.Throws<ArgumentException>(() => template.RenderChat(Json("[]"), null, true, new Dictionary<string, JsonElement> { ["tools"] = Json("[]") }, cancellation));
        Assert.Throws<ArgumentException>(() => template.RenderChat(Json("[\"\\ud800\"]"), cancellation: cancellation));
        Assert.Throws<ArgumentException>(() => template.RenderChat(Json($"[{new string('1', 5000)}]"), cancellation: cancellation));
        string deep = new string('[', 300) + new string(']', 300);
        JsonElement nested = JsonDocument.Parse(deep, new JsonDocumentOptions { MaxDepth = 400 }).RootElement;
        Assert.Throws<ArgumentException>(() => template.RenderChat(nested, cancellation: cancellation));
    }

    [Theory]
    [InlineData("0", "0 True")]
    [InlineData("-0", "0 True")]
    [InlineData("-0.0", "-0.0 False")]
    [InlineData("1e2", "100.0 False")]
    [InlineData("12345678901234567890123", "12345678901234567890123 True")]
    [InlineData("1E400", "inf False")]
    public void Numbers_of_JSON_are_those_of_Python(string json, string expected)
    {
        Dictionary<string, TemplateValue> values = new() { ["x"] = TemplateValue.From(Json(json)) };
        Assert.Equal(expected, ChatTemplate.Parse("{{ x }} {{ x is integer }}", "number").Render(values, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_folder_gives_its_template_file_before_its_tokenizer_config()
    {
        Write("tokenizer_config.json", """{"chat_template": "config", "eos_token": {"content": "<e>"}, "bos_token": "<b>", "pad_token": null}""");
        Assert.Equal("config", RenderedFolder(hasTools: false));
        Write("chat_template.jinja", "\uFEFFfile {{ bos_token }}{{ eos_token }}{{ pad_token is defined }}\n");
        Assert.Equal("file <b><e>False", RenderedFolder(hasTools: true));
    }

    [Fact]
    public void Of_named_templates_the_one_for_tools_is_taken_where_there_are_tools()
    {
        Write("tokenizer_config.json", """{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]}""");
        Assert.Equal("plain", RenderedFolder(hasTools: false));
        Assert.Equal("tools", RenderedFolder(hasTools: true));
        Write("tokenizer_config.json", """{"chat_template": [{"name": "default", "template": "plain"}]}""");
        Assert.Equal("plain", RenderedFolder(hasTools: true));
    }

    [Theory]
    [InlineData(null, "has neither chat_template.jinja nor tokenizer_config.json")]
    [InlineData("{}", "has no chat_template")]
    [InlineData("""{"chat_template": null}""", "has no chat_template")]
    [InlineData("""{"chat_template": 1}""", "chat_template is a JSON Number")]
    [InlineData("""{"chat_template": [{"name": "rag", "template": "x"}]}""", "chat_template names 'rag', 'default' is expected")]
    [InlineData("""{"chat_template": [{"name": "rag"}]}""", "entry 0 of chat_template")]
    [InlineData("""{"chat_template": [{"name": "a", "template": "x"}, {"name": "a", "template": "x"}]}""", "names 'a' twice")]
    [InlineData("[]", "expected an object")]
    public void A_folder_without_a_template_is_an_error(string? config, string words)
    {
        if (config is not null)
        {
            Write("tokenizer_config.json", config);
        }

        CheckpointException problem = Assert.Throws<CheckpointException>(() => ChatTemplate.LoadFrom(folder.FullName));
        Assert.Contains(words, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_template_file_is_an_error()
    {
        File.WriteAllBytes(Path.Combine(folder.FullName, "chat_template.jinja"), [0xC3, 0x28]);
        Assert.Contains("not valid UTF-8", Assert.Throws<CheckpointException>(() => ChatTemplate.LoadFrom(folder.FullName)).Message, StringComparison.Ordinal);
        Write("chat_template.jinja", new string('x', 4000));
        Assert.Throws<CheckpointException>(() => ChatTemplate.LoadFrom(folder.FullName, options: new TemplateOptions { MaxSourceLength = 1000 }));
    }

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    private static Dictionary<string, TemplateValue> Values(params (string Name, string Text)[] values) =>
        values.ToDictionary(v => v.Name, v => TemplateValue.From(v.Text));

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(folder.FullName, name), text);

    private string RenderedFolder(bool hasTools) =>
        ChatTemplate.LoadFrom(folder.FullName, hasTools).RenderChat(Json("[]"), cancellation: TestContext.Current.CancellationToken);

    private sealed class FixedClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2024, 3, 5, 14, 7, 9, TimeSpan.Zero);
    }
}

using System.Text.Json;
using Bitsmith.Models.Text.Templates;

namespace Bitsmith.Models.Tests.Text.Templates;

/// <summary>What transformers 5.12.1 rendered, text for text and error for error.</summary>
public sealed class ChatGoldenTests
{
    private const int Renderings = 180;

    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "goldens", "text");
    private static readonly JsonElement Goldens = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "chat_goldens.json"))).RootElement;

    public static TheoryData<string> Templates => [.. Goldens.GetProperty("templates").EnumerateObject().Select(t => t.Name)];

    [Fact]
    public void The_goldens_are_all_there() => Assert.Equal(
        Renderings, Goldens.GetProperty("templates").EnumerateObject().Sum(t => t.Value.EnumerateObject().Count()));

    [Theory]
    [MemberData(nameof(Templates))]
    public void Every_conversation_renders_as_transformers_renders_it(string template)
    {
        ChatTemplate chat = ChatTemplate.Parse(File.ReadAllText(Path.Combine(Folder, "chat_templates", template)), template);
        foreach (JsonProperty golden in Goldens.GetProperty("templates").GetProperty(template).EnumerateObject())
        {
            string expected = golden.Value.TryGetProperty("text", out JsonElement text) ? text.GetString()! : golden.Value.GetProperty("error").GetString()!;
            Assert.True(expected == Rendered(chat, golden.Name), $"{template}, {golden.Name}: expected\n{expected}\nfound\n{Rendered(chat, golden.Name)}");
        }
    }

    /// <summary>The text, or the error by Python's name of it.</summary>
    private static string Rendered(ChatTemplate chat, string conversation)
    {
        JsonElement input = Goldens.GetProperty("conversations").GetProperty(conversation);
        Dictionary<string, JsonElement> kwargs = input.GetProperty("kwargs").EnumerateObject().ToDictionary(p => p.Name, p => p.Value);
        JsonElement? tools = kwargs.Remove("tools", out JsonElement given) ? given : null;
        bool prompt = kwargs.Remove("add_generation_prompt", out JsonElement flag) && flag.GetBoolean();
        try
        {
            return chat.RenderChat(input.GetProperty("messages"), tools, prompt, kwargs, TestContext.Current.CancellationToken);
        }
        catch (TemplateException problem) when (problem.Kind is TemplateErrorKind.Undefined or TemplateErrorKind.Raised)
        {
            return $"{(problem.Kind == TemplateErrorKind.Undefined ? "UndefinedError" : "TemplateError")}: {problem.Problem}";
        }
    }
}

using System.Text.Json;

namespace Bitsmith.Models.Text.Templates;

/// <summary>
/// A chat template: Jinja as transformers renders it (jinja2 3.1, immutable sandbox, trim_blocks, lstrip_blocks, loop controls, the
/// generation tag). It sees nothing but the values it is given. Immutable; any number of threads may render at once. Other than there,
/// what Python would print as an address is an error, nothing is ever marked as safe text, and what needs other files, chance or a web
/// page (include, block, random, urlize and the like) is refused by name.
/// </summary>
public sealed partial class ChatTemplate
{
    private readonly IReadOnlyList<Statement> statements;
    private readonly TemplateOptions options;

    private ChatTemplate(string name, IReadOnlyList<Statement> statements, IReadOnlyList<string> markers, IReadOnlyDictionary<string, JsonElement> specialTokens, TemplateOptions options)
    {
        Name = name;
        this.statements = statements;
        Markers = markers;
        SpecialTokens = specialTokens;
        this.options = options;
    }

    /// <summary>What messages call the template.</summary>
    public string Name { get; }

    /// <summary>
    /// The special tokens that <see cref="RenderChat"/> hands to the template by name, such as <c>bos_token</c>; read by
    /// <see cref="LoadFrom"/>, empty otherwise.
    /// </summary>
    public IReadOnlyDictionary<string, JsonElement> SpecialTokens { get; }

    /// <summary>Reads a template.</summary>
    /// <param name="source">Its text.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="options">Bounds and clock; null takes the defaults.</param>
    /// <exception cref="TemplateException">The text is not a template.</exception>
    public static ChatTemplate Parse(string source, string name, TemplateOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(name);
        return Parse(source, name, new Dictionary<string, JsonElement>(), options);
    }

    /// <summary>Renders the template.</summary>
    /// <param name="values">The names that the template sees besides Jinja's own.</param>
    /// <param name="cancellation">Ends the rendering early.</param>
    /// <exception cref="TemplateException">The template failed, refused its input or reached a bound.</exception>
    public string Render(IReadOnlyDictionary<string, TemplateValue> values, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        Evaluator evaluator = new(values, new Work(options, cancellation));
        try
        {
            return evaluator.Render(statements);
        }
        catch (TemplateFault fault)
        {
            throw new TemplateException(Name, evaluator.At.Line, evaluator.At.Column, fault.Kind, fault.Message, fault);
        }
    }

    /// <summary>Renders a conversation with the names that transformers supplies.</summary>
    /// <param name="messages">The messages, a JSON array.</param>
    /// <param name="tools">The schemas of the tools; null or JSON null for none.</param>
    /// <param name="addGenerationPrompt">Whether the prompt ends where the assistant's answer begins.</param>
    /// <param name="kwargs">
    /// Further names, such as <c>enable_thinking</c> or <c>documents</c>; they replace special tokens of the same name. Null for none.
    /// </param>
    /// <param name="cancellation">Ends the rendering early.</param>
    /// <exception cref="TemplateException">The template failed, refused its input or reached a bound.</exception>
    /// <exception cref="ArgumentException">
    /// The messages are not an array, a value is not fit for a template (see <see cref="TemplateValue.From(JsonElement)"/>), or kwargs
    /// hold a name that has a parameter of its own.
    /// </exception>
    public string RenderChat(
        JsonElement messages,
        JsonElement? tools = null,
        bool addGenerationPrompt = true,
        IReadOnlyDictionary<string, JsonElement>? kwargs = null,
        CancellationToken cancellation = default)
    {
        if (messages.ValueKind != JsonValueKind.Array)
        {
            throw new ArgumentException($"The messages are a JSON {messages.ValueKind}, an array is expected.", nameof(messages));
        }

        Dictionary<string, TemplateValue> values = [];
        foreach ((string name, JsonElement token) in SpecialTokens)
        {
            values[name] = TemplateValue.From(token);
        }

        values["documents"] = TemplateValue.None;
        foreach ((string name, JsonElement value) in kwargs ?? new Dictionary<string, JsonElement>())
        {
            values[name] = name is not ("messages" or "tools" or "add_generation_prompt") ? TemplateValue.From(value)
                : throw new ArgumentException($"'{name}' stands among the further values; it has a parameter of its own.", nameof(kwargs));
        }

        values["messages"] = TemplateValue.From(messages);
        values["tools"] = tools is JsonElement given ? TemplateValue.From(given) : TemplateValue.None;
        values["add_generation_prompt"] = TemplateValue.From(addGenerationPrompt);
        return Render(values, cancellation);
    }

    /// <summary>Reads a template that knows special tokens by name.</summary>
    internal static ChatTemplate Parse(string source, string name, IReadOnlyDictionary<string, JsonElement> specialTokens, TemplateOptions? options = null)
    {
        TemplateOptions bounds = options ?? TemplateOptions.Default;
        return new ChatTemplate(name, TemplateParser.Parse(source, name, bounds), MarkersOf(source), specialTokens, bounds);
    }
}

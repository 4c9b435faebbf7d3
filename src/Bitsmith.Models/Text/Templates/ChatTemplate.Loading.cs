using System.Text;
using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Models.Text.Templates;

/// <summary>Finding the template of a model folder.</summary>
public sealed partial class ChatTemplate
{
    private const string TemplateFile = "chat_template.jinja";
    private const string ConfigFile = "tokenizer_config.json";

    /// <summary>
    /// Reads the template of a Hugging Face model folder: <c>chat_template.jinja</c> where there is one, otherwise <c>chat_template</c> of
    /// <c>tokenizer_config.json</c>, which is a text or a list of named texts: "tool_use" where tools are given and there is one, else
    /// "default". The special tokens come from <c>tokenizer_config.json</c>.
    /// </summary>
    /// <param name="folder">The model folder.</param>
    /// <param name="hasTools">Whether tools will be given.</param>
    /// <param name="options">Bounds and clock; null takes the defaults.</param>
    /// <exception cref="CheckpointException">A file is missing or broken, or the folder has no template.</exception>
    /// <exception cref="TemplateException">The template's text is not a template.</exception>
    public static ChatTemplate LoadFrom(string folder, bool hasTools = false, TemplateOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        string templatePath = Path.Combine(folder, TemplateFile), configPath = Path.Combine(folder, ConfigFile);
        bool hasFile = File.Exists(templatePath), hasConfig = File.Exists(configPath);
        if (!hasFile && !hasConfig)
        {
            throw new CheckpointException(folder, $"has neither {TemplateFile} nor {ConfigFile}, one of which holds the chat template. " +
                "Check the path, or copy the file from the model's page.");
        }

        TemplateOptions bounds = options ?? TemplateOptions.Default;
        JsonText? config = hasConfig ? JsonText.Load(configPath) : null;
        IReadOnlyDictionary<string, JsonElement> tokens = config is null ? new Dictionary<string, JsonElement>() : SpecialTokensOf(config);
        return hasFile ? Parse(ReadTemplate(templatePath, bounds), TemplateFile, tokens, bounds)
            : Parse(TemplateOf(config!, configPath, hasTools), ConfigFile, tokens, bounds);
    }

    /// <summary>The text of a folder's template, from the places where <see cref="LoadFrom"/> looks, without parsing it; null where the folder has none.</summary>
    /// <param name="folder">The model folder.</param>
    /// <exception cref="CheckpointException">A file is broken.</exception>
    public static string? FindSource(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        string templatePath = Path.Combine(folder, TemplateFile), configPath = Path.Combine(folder, ConfigFile);
        if (File.Exists(templatePath))
        {
            return ReadTemplate(templatePath, TemplateOptions.Default);
        }

        JsonText? config = File.Exists(configPath) ? JsonText.Load(configPath) : null;
        return config?.Get("chat_template") is null or { ValueKind: JsonValueKind.Null } ? null : TemplateOf(config, configPath, hasTools: false);
    }

    private static string ReadTemplate(string path, TemplateOptions options)
    {
        try
        {
            // A code unit takes at most three bytes of UTF-8.
            long length = new FileInfo(path).Length;
            if (length > 3L * options.MaxSourceLength)
            {
                throw new CheckpointException(path, $"has {length} bytes, a template has at most {options.MaxSourceLength} characters.");
            }

            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
            return text.StartsWith('\uFEFF') ? text[1..] : text;
        }
        catch (DecoderFallbackException problem)
        {
            throw new CheckpointException(path, "is not valid UTF-8. The file is damaged; download it again.", problem);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
    }

    private static string TemplateOf(JsonText config, string path, bool hasTools)
    {
        JsonElement? found = config.Get("chat_template");
        switch (found?.ValueKind)
        {
            case JsonValueKind.String:
                return found.Value.GetString()!;
            case JsonValueKind.Array:
                Dictionary<string, string> named = NamedTemplates(found.Value, path);
                return hasTools && named.TryGetValue("tool_use", out string? forTools) ? forTools
                    : named.TryGetValue("default", out string? plain) ? plain
                    : throw new CheckpointException(path, $"chat_template names {string.Join(", ", named.Keys.Select(k => $"'{k}'"))}, 'default' is expected" +
                        $"{(hasTools ? " or 'tool_use'" : string.Empty)}.");
            case null or JsonValueKind.Null:
                throw new CheckpointException(path, $"has no chat_template, and the folder has no {TemplateFile}. " +
                    "The model may not be made for conversations; otherwise copy the template from the model's page.");
            default:
                throw new CheckpointException(path, $"chat_template is a JSON {found.Value.ValueKind}, a text or a list of named texts is expected.");
        }
    }

    private static Dictionary<string, string> NamedTemplates(JsonElement list, string path)
    {
        Dictionary<string, string> named = [];
        foreach (JsonElement entry in list.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Object
                || !entry.TryGetProperty("name", out JsonElement name) || name.ValueKind != JsonValueKind.String
                || !entry.TryGetProperty("template", out JsonElement template) || template.ValueKind != JsonValueKind.String)
            {
                throw new CheckpointException(path, $"entry {named.Count} of chat_template is not an object with the texts 'name' and 'template'.");
            }

            if (!named.TryAdd(name.GetString()!, template.GetString()!))
            {
                throw new CheckpointException(path, $"chat_template names '{name.GetString()}' twice.");
            }
        }

        return named;
    }

    /// <summary>Tokens by name; a token is a text, or an object whose "content" is the text.</summary>
    private static Dictionary<string, JsonElement> SpecialTokensOf(JsonText config)
    {
        Dictionary<string, JsonElement> tokens = [];
        foreach (string name in (string[])["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"])
        {
            JsonElement? token = config.Get(name);
            token = token?.ValueKind == JsonValueKind.Object ? config.Get(name, "content") : token;
            if (token?.ValueKind == JsonValueKind.String)
            {
                tokens[name] = token.Value;
            }
        }

        return tokens;
    }
}

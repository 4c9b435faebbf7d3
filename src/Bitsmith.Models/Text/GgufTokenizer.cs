using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Models.Text.Templates;

namespace Bitsmith.Models.Text;

/// <summary>
/// The tokenizer of a model folder as GGUF metadata: tokens, their types, merges, special ids and the chat template, as llama.cpp's converter writes them.
/// </summary>
public static class GgufTokenizer
{
    /// <summary>The key of the tokens.</summary>
    internal const string TokensKey = Prefix + "tokens";

    /// <summary>The key of the chat template.</summary>
    internal const string TemplateKey = "tokenizer.chat_template";

    internal const string Prefix = "tokenizer.ggml.";

    // llama.cpp's token types.
    internal const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5;

    // The converter takes the first of: tokenizer_config.json's token, config.json's id, the architecture's own token below.
    internal static readonly (string Name, string Key)[] Configured =
        [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding"), ("cls", "cls"), ("mask", "mask")];

    /// <summary>Adds the keys.</summary>
    /// <param name="folder">The model folder.</param>
    /// <param name="config">config.json.</param>
    /// <param name="vocabSize">Rows of the embedding table; ids without a token are filled up to it.</param>
    /// <param name="architecture">llama.cpp's name: <c>chatglm</c>, <c>glm4</c> or <c>glm4moe</c>.</param>
    /// <param name="metadata">Receives the pairs.</param>
    /// <returns>What a user should know: tokens and templates that the folder lacks.</returns>
    /// <exception cref="CheckpointException">A file is missing or broken, or the tokenizer has ids beyond the embedding table.</exception>
    public static IReadOnlyList<string> AddTo(string folder, ModelConfig config, int vocabSize, string architecture, GgufMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(metadata);
        string path = Path.Combine(folder, "tokenizer.json");
        TokenizerDefinition tokenizer = TokenizerReader.Read(path);
        (string[] tokens, int[] types) = Table(tokenizer, vocabSize, path);
        metadata.Add(Prefix + "model", "gpt2");

        // The reader has checked that the text is split as GLM-4 does; llama.cpp knows that way under this name.
        metadata.Add(Prefix + "pre", "glm4");
        metadata.Add(TokensKey, tokens);
        metadata.Add(Prefix + "token_type", types);
        metadata.Add(Prefix + "merges", Merges(tokenizer));
        List<string> notes = AddSpecial(tokenizer, folder, config, architecture, metadata);
        if (architecture == "chatglm")
        {
            metadata.Add(Prefix + "add_bos_token", false);
        }

        if (ChatTemplate.FindSource(folder) is { } template)
        {
            metadata.Add(TemplateKey, template);
        }
        else
        {
            notes.Add("the folder has no chat template: programs will guess one");
        }

        // llama.cpp merges GLM's text always. That makes a difference for tokens that no merge leads to.
        HashSet<int> merged = [.. tokenizer.Merges.Select(merge => merge.Merged)];
        if (tokenizer.IgnoreMerges && tokenizer.Vocabulary.Count(entry => entry.Key.Length > 1 && !merged.Contains(entry.Value)) is > 0 and int unreachable)
        {
            notes.Add($"tokenizer.json has ignore_merges, and {unreachable} of its tokens that no merge makes: llama.cpp splits texts with them differently");
        }

        return notes;
    }

    /// <summary>The id of a special token, for example <c>eos</c>; null where the file names none.</summary>
    /// <exception cref="CheckpointException">The value is no id.</exception>
    internal static int? IdOf(GgufMetadata metadata, string key) => metadata.Find($"{Prefix}{key}_token_id") is null ? null : (int)Math.Clamp(metadata.Integer($"{Prefix}{key}_token_id"), -1, int.MaxValue);

    private static (string[] Tokens, int[] Types) Table(TokenizerDefinition tokenizer, int vocabSize, string path)
    {
        string[] tokens = [.. Enumerable.Range(0, vocabSize).Select(id => $"[PAD{id}]")];
        int[] types = new int[vocabSize];
        Array.Fill(types, Unused);
        foreach ((string token, int id) in tokenizer.Vocabulary)
        {
            Set(id, token, Normal);
        }

        foreach (TokenizerAddedToken added in tokenizer.Added)
        {
            Set(added.Id, added.Content, added.Special || LooksSpecial(added.Content) ? Control : UserDefined);
        }

        return (tokens, types);

        void Set(int id, string token, int type)
        {
            if (id >= vocabSize)
            {
                throw new CheckpointException(path, $"token '{token}' has id {id}, but vocab_size is {vocabSize}. The tokenizer belongs to another model.");
            }

            (tokens[id], types[id]) = (token, type);
        }
    }

    // As the converter does: some models do not mark control tokens as special.
    private static bool LooksSpecial(string token) => token.StartsWith("<|", StringComparison.Ordinal) && token.EndsWith("|>", StringComparison.Ordinal);

    private static string[] Merges(TokenizerDefinition tokenizer)
    {
        Dictionary<int, string> tokens = tokenizer.Vocabulary.ToDictionary(entry => entry.Value, entry => entry.Key);
        return [.. tokenizer.Merges.Select(merge => $"{tokens[merge.Left]} {tokens[merge.Right]}")];
    }

    private static List<string> AddSpecial(TokenizerDefinition tokenizer, string folder, ModelConfig config, string architecture, GgufMetadata metadata)
    {
        Dictionary<string, int> added = tokenizer.Added.ToDictionary(token => token.Content, token => token.Id);
        Dictionary<string, string> own = new() { ["unknown"] = "<|endoftext|>", ["eot"] = "<|user|>" };
        if (architecture == "glm4moe")
        {
            own["bos"] = "[gMASK]";
        }
        else
        {
            own["eos"] = "<|endoftext|>";
            if (architecture == "glm4")
            {
                own["bos"] = "<|endoftext|>";
            }
        }

        // The converter sets it for glm4moe alone, but every GLM-4 ends a tool call with it, and generation_config.json stops there.
        own["eom"] = "<|observation|>";
        foreach ((string name, string key) in Configured)
        {
            if (FromConfig(folder, config, name, added) is int id)
            {
                metadata.Add($"{Prefix}{key}_token_id", (uint)id);
                own.Remove(key);
            }
        }

        List<string> notes = [];
        foreach ((string key, string token) in own)
        {
            if (added.TryGetValue(token, out int id))
            {
                metadata.Add($"{Prefix}{key}_token_id", (uint)id);
            }
            else
            {
                notes.Add($"the tokenizer has no {token}: {Prefix}{key}_token_id is left out");
            }
        }

        return notes;
    }

    private static int? FromConfig(string folder, ModelConfig config, string name, Dictionary<string, int> added)
    {
        string path = Path.Combine(folder, "tokenizer_config.json");
        JsonText? file = File.Exists(path) ? JsonText.Load(path) : null;
        JsonElement? token = file?.Get($"{name}_token");
        token = token?.ValueKind == JsonValueKind.Object ? file!.Get($"{name}_token", "content") : token;
        if (token?.ValueKind == JsonValueKind.String && added.TryGetValue(token.Value.GetString()!, out int id))
        {
            return id;
        }

        // Of several, the first is the one that the tokenizer itself ends with.
        string key = $"{name}_token_id";
        JsonElement? entry = config.Text.Get(key) ?? (config.TextModel.TryGetProperty(key, out JsonElement inner) ? inner : null);
        JsonElement? number = entry is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() > 0 ? list[0] : entry;
        return number is { ValueKind: JsonValueKind.Number } && number.Value.TryGetInt32(out id) && id >= 0 ? id : null;
    }
}

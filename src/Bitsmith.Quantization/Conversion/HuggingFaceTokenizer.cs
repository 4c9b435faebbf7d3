using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Quantization.Conversion;

/// <summary>The tokenizer of GGUF metadata as the files of a Hugging Face folder. Merges are always made, as llama.cpp makes them.</summary>
internal static class HuggingFaceTokenizer
{
    // How GLM-4's tokenizer.json splits text; the reader of GGUF tokenizers accepts no other way.
    private const string Split = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Prefix = "tokenizer.ggml.";
    private const int Normal = 1, Unused = 5, UserDefined = 4;

    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly string[] Ends = ["eos", "eot", "eom"];
    private static readonly (string Key, string Name)[] Special = [("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token")];

    /// <summary>The files by name.</summary>
    /// <param name="metadata">The key/value pairs; their tokens, types and merges are checked.</param>
    /// <param name="contextLength">The longest text of the model.</param>
    public static IReadOnlyDictionary<string, byte[]> Files(GgufMetadata metadata, int contextLength)
    {
        IReadOnlyList<string> tokens = metadata.Items<string>(Prefix + "tokens");
        Dictionary<string, byte[]> files = new() { ["tokenizer.json"] = Bytes(Tokenizer(metadata, tokens)) };
        JsonObject config = new() { ["tokenizer_class"] = "PreTrainedTokenizerFast", ["clean_up_tokenization_spaces"] = false, ["model_max_length"] = contextLength };
        foreach ((string key, string name) in Special)
        {
            if (IdOf(metadata, key, tokens.Count) is int id)
            {
                config[name] = tokens[id];
            }
        }

        files["tokenizer_config.json"] = Bytes(config);
        if (metadata.Find("tokenizer.chat_template") is { Content: string template })
        {
            files["chat_template.jinja"] = Encoding.UTF8.GetBytes(template);
        }

        if (EndsOf(metadata, tokens.Count) is { Count: > 0 } ends)
        {
            files["generation_config.json"] = Bytes(new JsonObject { ["eos_token_id"] = ends });
        }

        return files;
    }

    /// <summary>Adds the ids that config.json states. Where there are none it says so: the classes' own defaults are those of the released models' vocabulary.</summary>
    public static void AddIds(GgufMetadata metadata, JsonObject config)
    {
        int count = metadata.Items<string>(Prefix + "tokens").Count;
        config["pad_token_id"] = IdOf(metadata, "padding", count) ?? IdOf(metadata, "eos", count);
        config["eos_token_id"] = EndsOf(metadata, count) is { Count: > 0 } ends ? ends : null;
    }

    // Answers end with the end of text, of a turn, or of a tool call.
    private static JsonArray EndsOf(GgufMetadata metadata, int count) => [.. Ends.Select(key => IdOf(metadata, key, count)).OfType<int>().Distinct().Select(id => JsonValue.Create(id))];

    private static int? IdOf(GgufMetadata metadata, string key, int count) =>
        metadata.Find($"{Prefix}{key}_token_id") is not null && metadata.Integer($"{Prefix}{key}_token_id") is >= 0 and long id && id < count ? (int)id : null;

    private static JsonObject Tokenizer(GgufMetadata metadata, IReadOnlyList<string> tokens)
    {
        IReadOnlyList<int> types = metadata.Items<int>(Prefix + "token_type", tokens.Count);
        JsonObject vocabulary = [];
        JsonArray added = [];
        for (int id = 0; id < tokens.Count; id++)
        {
            if (types[id] == Normal)
            {
                vocabulary[tokens[id]] = id;
            }
            else if (types[id] != Unused)
            {
                added.Add((JsonNode)new JsonObject
                {
                    ["id"] = id, ["content"] = tokens[id], ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = types[id] == UserDefined, ["special"] = types[id] != UserDefined,
                });
            }
        }

        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = added,
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = Split }, ["behavior"] = "Isolated", ["invert"] = false },
                    new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = false }),
            },
            ["post_processor"] = null,
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = true, ["trim_offsets"] = true, ["use_regex"] = true },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. metadata.Items<string>(Prefix + "merges").Select(merge => new JsonArray([.. merge.Split(' ').Select(part => JsonValue.Create(part))]))]),
            },
        };
    }

    private static byte[] Bytes(JsonObject json) => Encoding.UTF8.GetBytes(json.ToJsonString(Readable) + "\n");
}

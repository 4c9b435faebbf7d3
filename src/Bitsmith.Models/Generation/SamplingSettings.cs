using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Models.Text;

namespace Bitsmith.Models.Generation;

/// <summary>How the next token is chosen. Defaults are those of a model without a generation_config.json.</summary>
public sealed record SamplingSettings
{
    private const string FileName = "generation_config.json";
    private const string SamplingPrefix = "general.sampling.";

    // llama.cpp's keys, and generation_config.json's.
    private static readonly (string Gguf, string Name)[] GgufKeys =
        [("temp", "temperature"), ("top_k", "top_k"), ("top_p", "top_p"), ("min_p", "min_p"), ("penalty_repeat", "repetition_penalty")];

    /// <summary>Logits are divided by it; 0 means greedy.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only this many most likely tokens; 0 means all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the most likely tokens whose probabilities sum to this.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Only tokens at least this likely relative to the most likely one.</summary>
    public double MinP { get; init; }

    /// <summary>Positive logits of tokens seen (prompt and answer) are divided by it, negative ones multiplied.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Subtracted from logits of tokens in the answer.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Subtracted from logits for each time the token stands in the answer.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>Added to logits.</summary>
    public IReadOnlyDictionary<int, double> LogitBias { get; init; } = new Dictionary<int, double>();

    /// <summary>Makes the choice repeatable; null draws a fresh one.</summary>
    public int? Seed { get; init; }

    /// <summary>Tokens that end the answer.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Texts that end the answer; they are not part of it.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Most tokens of the answer; null for as many as the context holds.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Reads a model folder's generation_config.json; its absence gives the defaults.</summary>
    /// <exception cref="CheckpointException">The file holds a value that its key cannot have.</exception>
    public static SamplingSettings Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        return File.Exists(path) ? new SamplingSettings().With(JsonText.Load(path).Root, path) : new SamplingSettings();
    }

    /// <summary>Reads what GGUF metadata recommend (<c>general.sampling.*</c>), and the tokens that end a text, a turn or a message.</summary>
    /// <param name="metadata">The file's key/value pairs.</param>
    /// <param name="path">The file, for messages.</param>
    /// <exception cref="CheckpointException">A key holds a value that it cannot have.</exception>
    public static SamplingSettings Read(GgufMetadata metadata, string path)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        JsonObject keys = [];
        foreach ((string key, string name) in GgufKeys)
        {
            if (metadata.Find(SamplingPrefix + key) is not null)
            {
                keys[name] = metadata.Number(SamplingPrefix + key);
            }
        }

        int[] ends = [.. ((string[])["eos", "eot", "eom"]).Select(key => GgufTokenizer.IdOf(metadata, key)).OfType<int>().Where(id => id >= 0).Distinct()];
        return new SamplingSettings { StopTokens = ends }.With(JsonElement.Parse(keys.ToJsonString()), path);
    }

    /// <summary>Adds what a model folder's generation_config.json states to GGUF metadata, as <see cref="Read"/> finds it.</summary>
    /// <exception cref="CheckpointException">The file holds a value that its key cannot have.</exception>
    public static void AddTo(string folder, GgufMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        SamplingSettings settings = Load(folder);
        string path = Path.Combine(folder, FileName);
        JsonElement stated = File.Exists(path) ? JsonText.Load(path).Root : default;
        foreach ((string key, string name) in GgufKeys)
        {
            if (stated.ValueKind == JsonValueKind.Object && (stated.TryGetProperty(name, out _) || (name == "temperature" && settings.Temperature == 0)))
            {
                metadata.Add(SamplingPrefix + key, name switch
                {
                    "temperature" => (object)(float)settings.Temperature,
                    "top_k" => (object)settings.TopK,
                    "top_p" => (float)settings.TopP,
                    "min_p" => (float)settings.MinP,
                    _ => (float)settings.RepetitionPenalty,
                });
            }
        }
    }

    /// <summary>Merges keys of a generation_config over these settings. <c>do_sample: false</c> means greedy; keys that do not concern sampling are left alone.</summary>
    /// <param name="json">An object with generation_config.json's keys.</param>
    /// <param name="source">Names it in errors.</param>
    /// <exception cref="CheckpointException">A value is not one that its key can have.</exception>
    public SamplingSettings With(JsonElement json, string source)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw new CheckpointException(source, $"holds a JSON {json.ValueKind}, expected an object with keys such as temperature.");
        }

        SamplingSettings settings = this;
        foreach (JsonProperty entry in json.EnumerateObject().Where(entry => entry.Value.ValueKind != JsonValueKind.Null))
        {
            settings = entry.Name switch
            {
                "temperature" => settings with { Temperature = Number(entry, 0, 100) },
                "top_k" => settings with { TopK = (int)Number(entry, -1, int.MaxValue) is > 0 and int k ? k : 0 },
                "top_p" => settings with { TopP = Number(entry, 0, 1) },
                "min_p" => settings with { MinP = Number(entry, 0, 1) },
                "repetition_penalty" => settings with { RepetitionPenalty = Number(entry, 0.01, 100) },
                "presence_penalty" => settings with { PresencePenalty = Number(entry, -100, 100) },
                "frequency_penalty" => settings with { FrequencyPenalty = Number(entry, -100, 100) },
                "max_new_tokens" => settings with { MaxTokens = (int)Number(entry, 1, int.MaxValue) },
                "eos_token_id" => settings with { StopTokens = Ids(entry) },
                _ => settings,
            };
        }

        return json.TryGetProperty("do_sample", out JsonElement sample) && sample.ValueKind == JsonValueKind.False ? settings with { Temperature = 0 } : settings;

        double Number(JsonProperty entry, double least, double most) =>
            entry.Value.ValueKind == JsonValueKind.Number && entry.Value.TryGetDouble(out double value) && value >= least && value <= most
                ? value
                : throw new CheckpointException(source, $"{entry.Name} is {entry.Value.GetRawText()}; expected a number from {least} to {most}.");

        int[] Ids(JsonProperty entry)
        {
            JsonElement[] items = entry.Value.ValueKind == JsonValueKind.Array ? [.. entry.Value.EnumerateArray()] : [entry.Value];
            return [.. items.Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int id) && id >= 0
                ? id
                : throw new CheckpointException(source, $"{entry.Name} holds {item.GetRawText()}; expected token ids."))];
        }
    }
}

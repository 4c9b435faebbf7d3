using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Models.Generation;

/// <summary>How the next token is chosen. Defaults are those of a model without a generation_config.json.</summary>
public sealed record SamplingSettings
{
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
        string path = Path.Combine(folder, "generation_config.json");
        return File.Exists(path) ? new SamplingSettings().With(JsonText.Load(path).Root, path) : new SamplingSettings();
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

using System.Text.Json;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Quantization.Packaging;

/// <summary>Clients decompress only what says that it is compressed; anything else loads as garbage without an error.</summary>
internal sealed class QuantizationStatusCheck : IPackagingCheck
{
    private static readonly string[] Key = [QuantizationConfig.Key, "quantization_status"];

    public string Name => "quantization-status";

    public CheckResult Run(Package package, bool fix)
    {
        string? status = package.Config.Get(Key) is { ValueKind: JsonValueKind.String } value ? value.GetString() : null;
        if (status == QuantizationConfig.Compressed)
        {
            return new CheckResult(Name, Verdict.Pass, "quantization_status is 'compressed'");
        }

        string evidence = $"quantization_status is {(status is null ? "missing" : $"'{status}'")}: transformers would read codes as weights, without an error";
        if (!fix)
        {
            return new CheckResult(Name, Verdict.Fail, evidence, "set it to 'compressed'");
        }

        package.Edit(ModelConfig.FileName, package.Config.With(Key, $"\"{QuantizationConfig.Compressed}\""));
        return new CheckResult(Name, Verdict.Fixed, evidence, "set to 'compressed'");
    }
}

/// <summary>
/// Rotary settings. transformers 5 keeps one dictionary, <c>rope_parameters</c>, with <c>rope_scaling</c> as its older name: where both stand,
/// <c>rope_scaling</c> replaces the other whole, and theta or the partial factor that it lacks fall back to class defaults. <c>mrope_section</c> must sum to half the
/// rotary width; a doubled one, once a workaround, is wrong today.
/// </summary>
internal sealed class RopeFieldsCheck : IPackagingCheck
{
    private const string Parameters = "rope_parameters", Scaling = "rope_scaling", Theta = "rope_theta", Factor = "partial_rotary_factor", Sections = "mrope_section";

    public string Name => "rope-fields";

    public CheckResult Run(Package package, bool fix)
    {
        string[] prefix = package.Config.Get("text_config") is { ValueKind: JsonValueKind.Object } ? ["text_config"] : [];
        JsonElement text = package.Modules.Config.TextModel;
        Dictionary<string, JsonElement> parameters = Entries(text, Parameters), scaling = Entries(text, Scaling);
        bool both = parameters.Count > 0 && scaling.Count > 0;

        // What the model was trained with: rope_parameters, then what only rope_scaling has, then the top level.
        Dictionary<string, string> merged = parameters.ToDictionary(entry => entry.Key, entry => entry.Value.GetRawText());
        foreach ((string key, JsonElement value) in scaling)
        {
            merged.TryAdd(key == "type" ? "rope_type" : key, value.GetRawText());
        }

        foreach (string key in (string[])[Theta, Factor])
        {
            if (text.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number)
            {
                merged.TryAdd(key, value.GetRawText());
            }
        }

        List<string> problems = [];
        if (both && merged.Keys.Where(key => !scaling.ContainsKey(key) && !text.TryGetProperty(key, out _)).ToArray() is { Length: > 0 } lost)
        {
            problems.Add($"rope_scaling and rope_parameters both stand; transformers takes rope_scaling whole and loses {string.Join(", ", lost)}");
        }

        CheckSections(package, merged, problems);
        if (problems.Count == 0)
        {
            return new CheckResult(Name, Verdict.Pass, $"{(both ? "rope_scaling and rope_parameters agree" : parameters.Count > 0 ? "rope_parameters alone" : "rope_theta and partial_rotary_factor")}: {string.Join(", ", merged.Select(entry => $"{entry.Key} {Compact(entry.Value)}"))}");
        }

        string evidence = string.Join("; ", problems);
        const string Repair = "one rope_parameters with every field";
        if (!fix)
        {
            return new CheckResult(Name, Verdict.Fail, evidence, Repair);
        }

        JsonText config = package.Config.Without([.. prefix, Scaling]);
        config = config.With([.. prefix, Parameters], $"{{\n{string.Join(",\n", merged.OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => $"  \"{entry.Key}\": {Compact(entry.Value)}"))}\n}}");
        package.Edit(ModelConfig.FileName, config);
        return new CheckResult(Name, Verdict.Fixed, evidence, Repair);
    }

    /// <summary>Compares the sections with the rotary width; corrects <paramref name="merged"/> where the right value is known.</summary>
    private static void CheckSections(Package package, Dictionary<string, string> merged, List<string> problems)
    {
        ModelConfig config = package.Modules.Config;
        if (!merged.TryGetValue(Sections, out string? text) || config.Integer("hidden_size") is not int hidden || config.Integer("num_attention_heads") is not (int heads and > 0))
        {
            return;
        }

        int[] sections;
        using (JsonDocument document = JsonDocument.Parse(text))
        {
            if (document.RootElement.ValueKind != JsonValueKind.Array || document.RootElement.EnumerateArray().Any(item => !item.TryGetInt32(out _)))
            {
                problems.Add($"mrope_section is {text}, expected three whole numbers");
                return;
            }

            sections = [.. document.RootElement.EnumerateArray().Select(item => item.GetInt32())];
        }

        // glm4v computes the head's width from the hidden size, and its class default is rotation of the whole head.
        bool dense = config.ModelType is "glm4v" or "glm46v";
        int headWidth = dense ? hidden / heads : config.Integer("head_dim") ?? hidden / heads;
        if (!merged.TryGetValue(Factor, out string? factorText))
        {
            if (dense)
            {
                problems.Add($"{Factor} is missing: the class default rotates whole heads, GLM is trained with 0.5");
            }

            merged[Factor] = factorText = "0.5";
        }

        int half = (int)(headWidth * double.Parse(factorText)) / 2;
        int sum = sections.Sum();
        if (sum == 2 * half && sections.All(section => section % 2 == 0))
        {
            problems.Add($"mrope_section {Compact(text)} is doubled: it sums to {sum}, half the rotary width is {half}");
            merged[Sections] = $"[{string.Join(", ", sections.Select(section => section / 2))}]";
        }
        else if (sum != half)
        {
            problems.Add($"mrope_section {Compact(text)} sums to {sum}, but half the rotary width is {half}");
        }
    }

    private static string Compact(string json) => string.Join(' ', json.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    private static Dictionary<string, JsonElement> Entries(JsonElement parent, string key) =>
        parent.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Object
            ? value.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value)
            : [];
}

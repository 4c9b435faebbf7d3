using System.Text;
using System.Text.Json.Nodes;

namespace Bitsmith.Interop.Tests;

/// <summary>Small models with a tokenizer, in the exchange folder.</summary>
internal static class SourceModel
{
    private const string Sample = "samples/glm-4.6v-mini";

    /// <summary>Copies a model to <c>source</c>.</summary>
    // The small models have no tokenizer: vision models share the sample's, the others get one of the 256 bytes.
    public static void Prepare(Peers peers, string model)
    {
        string sample = Path.Combine(AppContext.BaseDirectory, Sample), source = peers.Here("source");
        Directory.CreateDirectory(source);
        foreach (string file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, model)))
        {
            File.Copy(file, Path.Combine(source, Path.GetFileName(file)));
        }

        if (File.Exists(Path.Combine(source, "tokenizer.json")))
        {
            return;
        }

        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(sample, "tokenizer.json")))!;
        if (!model.Contains("glm4v", StringComparison.Ordinal))
        {
            tokenizer["added_tokens"] = new JsonArray();
            tokenizer["model"]!["merges"] = new JsonArray();
            tokenizer["model"]!["vocab"] = new JsonObject(Alphabet().Select((letter, i) => KeyValuePair.Create(letter, (JsonNode?)JsonValue.Create(i))));
        }

        File.WriteAllText(Path.Combine(source, "tokenizer.json"), tokenizer.ToJsonString());
    }

    /// <summary>GPT-2's letters for the 256 bytes: printable bytes stand for themselves, the others for what follows U+0100.</summary>
    private static IEnumerable<string> Alphabet()
    {
        int next = 0x100;
        for (int value = 0; value < 256; value++)
        {
            yield return new Rune(value is (> 0x20 and < 0x7F) or (> 0xA0 and not 0xAD) ? value : next++).ToString();
        }
    }
}

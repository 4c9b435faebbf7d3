using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Conversion;

namespace Bitsmith.Quantization.Tests.Conversion;

/// <summary>The small models of all architectures as folders that can be converted, and their GGUF files.</summary>
internal static class TinyModel
{
    public const string Sample = "samples/glm-4.6v-mini";

    public static readonly string[] Names = ["models/tiny-glm", "models/tiny-glm4", "models/tiny-glm4-moe", "models/tiny-glm4-moe-qknorm", "models/tiny-glm4v", "models/tiny-glm4v-moe"];

    /// <summary>Copies a model into a folder and adds the tokenizer that the small ones lack: vision models share the sample's, the others get one of the 256 bytes.</summary>
    public static void Copy(string model, string target)
    {
        Directory.CreateDirectory(target);
        foreach (string file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, model)))
        {
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        }

        if (!File.Exists(Path.Combine(target, "tokenizer.json")))
        {
            AddTokenizer(model, target);
        }
    }

    /// <summary>The tokenizer of a small model: the sample's for vision models, one of the 256 bytes for the others.</summary>
    public static void AddTokenizer(string model, string target)
    {
        string sample = Path.Combine(AppContext.BaseDirectory, Sample);
        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(sample, "tokenizer.json")))!;
        if (model.Contains("glm4v", StringComparison.Ordinal))
        {
            File.Copy(Path.Combine(sample, "preprocessor_config.json"), Path.Combine(target, "preprocessor_config.json"));
        }
        else
        {
            tokenizer["added_tokens"] = new JsonArray();
            tokenizer["model"]!["merges"] = new JsonArray();
            tokenizer["model"]!["vocab"] = new JsonObject(Alphabet().Select((letter, i) => KeyValuePair.Create(letter, (JsonNode?)JsonValue.Create(i))));
        }

        File.WriteAllText(Path.Combine(target, "tokenizer.json"), tokenizer.ToJsonString());
    }

    public static void Convert(string source, string output, GgufTensorType type, bool mmproj = false, long? maxFileBytes = null)
    {
        using GgufConversion conversion = GgufConversion.Prepare(
            new GgufConversionOptions { Model = source, Output = output, Type = type, Mmproj = mmproj, MaxFileBytes = maxFileBytes });
        conversion.Run(null, TestContext.Current.CancellationToken);
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

using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Text;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Models.Weights;

namespace Bitsmith.Models;

/// <summary>What a model needs besides its weights, from the files of its folder or from GGUF metadata.</summary>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="TokenizerSource">Its file, for messages.</param>
/// <param name="Template">The chat template.</param>
/// <param name="Defaults">Sampling settings.</param>
/// <param name="Pictures">Prepares pictures; null for a text model.</param>
/// <param name="Processors">The processors that the model asks for; null where it does not say.</param>
internal sealed record ModelParts(
    Tokenizer Tokenizer, string TokenizerSource, ChatTemplate Template, SamplingSettings Defaults, GlmImageProcessor? Pictures, ProcessorClasses? Processors)
{
    public static ModelParts Of(ModelWeights weights) => weights is GgufWeights gguf ? FromMetadata(gguf) : FromFolder(weights.Path, weights);

    private static ModelParts FromFolder(string folder, ModelWeights weights)
    {
        bool vision = weights.Config.VisionModel is not null;
        return new ModelParts(
            weights.ReadTokenizer(),
            weights.TokenizerPath,
            ChatTemplate.LoadFrom(folder),
            SamplingSettings.Load(folder),
            vision ? GlmImageProcessor.Load(folder) : null,
            vision ? ProcessorClasses.Load(folder, weights.Config) : null);
    }

    private static ModelParts FromMetadata(GgufWeights weights)
    {
        GgufMetadata metadata = weights.Metadata;
        Tokenizer tokenizer = weights.ReadTokenizer();
        return new ModelParts(
            tokenizer,
            weights.TokenizerPath,
            ChatTemplate.Parse(metadata.Text(GgufTokenizer.TemplateKey), GgufTokenizer.TemplateKey, SpecialTokens(metadata, tokenizer)),
            SamplingSettings.Read(metadata, weights.Path),
            weights.Tower is { } tower ? new GlmImageProcessor(ImageProcessorSettings.Read(tower.Metadata, tower.Files[0].Path)) : null,
            null);
    }

    /// <summary>The tokens that templates know by name.</summary>
    private static Dictionary<string, JsonElement> SpecialTokens(GgufMetadata metadata, Tokenizer tokenizer)
    {
        Dictionary<string, JsonElement> tokens = [];
        foreach ((string name, string key) in GgufTokenizer.Configured)
        {
            if (GgufTokenizer.IdOf(metadata, key) is int id && tokenizer.HasToken(id))
            {
                tokens[$"{name}_token"] = JsonElement.Parse(JsonValue.Create(tokenizer.TokenOf(id)).ToJsonString());
            }
        }

        return tokens;
    }
}

using Bitsmith.Checkpoints;
using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Architectures;

/// <summary>What distinguishes an architecture: where its language model's names start, and how a decoder layer is built.</summary>
/// <param name="Prefix">Start of names.</param>
/// <param name="Layer">Builds a layer.</param>
internal sealed record Architecture(string Prefix, Func<DecoderBuilder, int, IDecoderLayer> Layer)
{
    private static readonly Dictionary<string, Architecture> Known = new()
    {
        ["glm"] = new(Glm.Prefix, Glm.Layer),
        ["glm4"] = new(Glm4.Prefix, Glm4.Layer),
        ["glm4_moe"] = new(Glm4Moe.Prefix, Glm4Moe.Layer),
        ["glm4v"] = new(Glm4v.Prefix, Glm4v.Layer),
        ["glm46v"] = new(Glm4v.Prefix, Glm4v.Layer),
        ["glm4v_moe"] = new(Glm4vMoe.Prefix, Glm4vMoe.Layer),
    };

    /// <summary>The architecture of a model type.</summary>
    /// <exception cref="CheckpointException">There is none; the message lists those there are.</exception>
    public static Architecture Of(string modelType, string path) => Known.GetValueOrDefault(modelType) ?? throw new CheckpointException(
        path, $"config.json: model_type '{modelType}' cannot be run. Supported are {string.Join(", ", Known.Keys.Order(StringComparer.Ordinal))}.");
}

using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Architectures;

/// <summary>GLM-4.5V and GLM-4.6V, text side: as glm4_moe, with three position axes.</summary>
internal static class Glm4vMoe
{
    public const string Prefix = "model.language_model.";

    public static IDecoderLayer Layer(DecoderBuilder builder, int layer) =>
        builder.PreNorm(layer, builder.Attention(layer, RotaryPairing.Halves), builder.DenseOrExperts(layer));
}

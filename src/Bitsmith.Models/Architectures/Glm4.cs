using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Architectures;

/// <summary>GLM-4-0414 and GLM-Z1: four norms, interleaved rotary pairs, fused MLP.</summary>
internal static class Glm4
{
    public const string Prefix = "model.";

    public static IDecoderLayer Layer(DecoderBuilder builder, int layer) =>
        builder.Sandwich(layer, builder.Attention(layer, RotaryPairing.Interleaved), builder.FusedMlp(layer));
}

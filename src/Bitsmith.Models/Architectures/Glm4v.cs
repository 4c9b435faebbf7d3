using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Architectures;

/// <summary>GLM-4.1V and GLM-4.6V-Flash, text side: four norms, interleaved rotary pairs with three position axes, fused MLP.</summary>
internal static class Glm4v
{
    public const string Prefix = "model.language_model.";

    public static IDecoderLayer Layer(DecoderBuilder builder, int layer) =>
        builder.Sandwich(layer, builder.Attention(layer, RotaryPairing.Interleaved), builder.FusedMlp(layer));
}

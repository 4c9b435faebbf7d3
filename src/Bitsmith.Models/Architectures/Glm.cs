using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Architectures;

/// <summary>glm-4-9b-chat-hf: two norms, interleaved rotary pairs, fused MLP.</summary>
internal static class Glm
{
    public const string Prefix = "model.";

    public static IDecoderLayer Layer(DecoderBuilder builder, int layer) =>
        builder.PreNorm(layer, builder.Attention(layer, RotaryPairing.Interleaved), builder.FusedMlp(layer));
}

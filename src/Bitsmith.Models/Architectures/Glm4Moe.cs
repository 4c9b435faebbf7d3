using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Architectures;

/// <summary>GLM-4.5, 4.5-Air, 4.6 and 4.7: two norms, rotary halves, q/k norm where the config says so, dense MLPs first and experts behind them. The multi-token prediction layer is not run.</summary>
internal static class Glm4Moe
{
    public const string Prefix = "model.";

    public static IDecoderLayer Layer(DecoderBuilder builder, int layer) =>
        builder.PreNorm(layer, builder.Attention(layer, RotaryPairing.Halves), builder.DenseOrExperts(layer));
}

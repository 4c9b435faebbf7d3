using Bitsmith.Models.Layers;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>Where the layers of GLM models let factors be moved.</summary>
/// <remarks>
/// <list type="bullet">
/// <item>input norm → q, k, v;</item>
/// <item>v → o; with grouped key/value heads one factor serves all query heads that read a channel of v;</item>
/// <item>the MLP's input norm (<c>post_attention_layernorm</c>, also where a layer has four norms) → gate and up, or both in one; of a mixture the router, all routed experts' gate and up, and the shared experts';</item>
/// <item>up → down, of each expert and of the shared ones; in one matrix with gate the rows of up are the last ones.</item>
/// </list>
/// <para>v, up and gate_up are on both sides. That takes no order: factors of columns and divisors of rows do not meet, and neither changes what the other's search sees, see <see cref="AwqSearch"/>.</para>
/// </remarks>
public static class AwqMappings
{
    private const string Attention = ".self_attn.", Mlp = ".mlp.", Output = Attention + "o_proj", Down = "down_proj";

    /// <summary>The mappings of a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="headDim">Channels of a head.</param>
    public static IReadOnlyList<AwqMapping> Of(IDecoderLayer layer, int headDim)
    {
        ArgumentNullException.ThrowIfNull(layer);
        Dictionary<string, Linear> linears = layer.Linears.ToDictionary(linear => linear.Name, StringComparer.Ordinal);
        Dictionary<string, LayerVector> vectors = layer.Vectors.ToDictionary(vector => vector.Name, StringComparer.Ordinal);
        Linear output = linears.Values.Single(linear => linear.Name.EndsWith(Output, StringComparison.Ordinal));
        string prefix = output.Name[..^Output.Length];
        Linear[] attention = [.. ((string[])["q_proj", "k_proj", "v_proj"]).Select(name => linears[prefix + Attention + name])];
        Linear[] mlp = [.. linears.Values.Where(linear => linear.Name.StartsWith(prefix + Mlp, StringComparison.Ordinal))];
        return
        [
            new AwqMapping { Norm = vectors[prefix + ".input_layernorm.weight"], Balance = attention },
            new AwqMapping { Projection = attention[^1], Balance = [output], Repeat = output.Weight.Columns / attention[^1].Weight.Rows, HeadDim = headDim },
            new AwqMapping
            {
                Norm = vectors[prefix + ".post_attention_layernorm.weight"],
                Balance = [.. mlp.Where(linear => !linear.Name.EndsWith(Down, StringComparison.Ordinal))],
                Router = vectors.GetValueOrDefault(prefix + Mlp + "gate.weight"),
            },
            .. mlp.Where(linear => linear.Name.EndsWith(Down, StringComparison.Ordinal)).Select(down => new AwqMapping { Projection = UpOf(down, linears), Balance = [down] }),
        ];
    }

    private static Linear UpOf(Linear down, Dictionary<string, Linear> linears)
    {
        string stem = down.Name[..^Down.Length];
        return linears.GetValueOrDefault(stem + "up_proj") ?? linears[stem + "gate_up_proj"];
    }
}

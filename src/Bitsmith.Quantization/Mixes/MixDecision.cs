using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Mixes;

/// <summary>What becomes of one tensor.</summary>
/// <param name="Tensor">The tensor as it is.</param>
/// <param name="Type">The type that it takes; null where it is kept.</param>
/// <param name="Rule">What decided, in words.</param>
public sealed record MixDecision(GgufTensorInfo Tensor, GgmlType? Type, string Rule);

/// <summary>The numbers of a model that rules ask for.</summary>
/// <param name="Layers">All layers, those for multi-token prediction too.</param>
/// <param name="HeadsPerKeyValue">Query heads for each key/value head.</param>
/// <param name="Experts">Routed experts of a layer; 0 in a dense model.</param>
public sealed record MixModel(int Layers, int HeadsPerKeyValue, int Experts)
{
    /// <summary>Reads the numbers from a file's metadata.</summary>
    /// <exception cref="CheckpointException">They are missing or no numbers.</exception>
    public static MixModel Read(GgufMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        string architecture = metadata.Text("general.architecture");
        int layers = Number("block_count", 0), heads = Number("attention.head_count", 0), keyValue = Number("attention.head_count_kv", heads);
        return new MixModel(layers, keyValue == 0 ? 0 : heads / keyValue, Number("expert_count", 0));

        // Models whose layers differ hold an array; llama-quantize takes the first.
        int Number(string key, int fallback) => metadata.Find($"{architecture}.{key}") is { Content: Array { Length: > 0 } each }
            ? Convert.ToInt32(each.GetValue(0), System.Globalization.CultureInfo.InvariantCulture)
            : checked((int)metadata.Integer($"{architecture}.{key}", fallback));
    }
}

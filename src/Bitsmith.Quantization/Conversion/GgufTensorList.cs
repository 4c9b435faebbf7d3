using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Weights;

namespace Bitsmith.Quantization.Conversion;

/// <summary>A tensor to be written.</summary>
/// <param name="Info">Name, type and shape.</param>
/// <param name="Parts">What it is made of, one behind the other: more than one for stacked experts.</param>
internal sealed record GgufOutput(GgufTensorInfo Info, IReadOnlyList<TensorSource> Parts);

/// <summary>
/// The tensors of a GLM checkpoint as a GGUF file holds them. Everything that is asked of the checkpoint must be there with its shape, and everything that
/// is there must be asked for.
/// </summary>
internal static class GgufTensorList
{
    private const string Weight = ".weight";

    /// <summary>Lists the tensors.</summary>
    /// <param name="config">The model's numbers.</param>
    /// <param name="weights">The checkpoint.</param>
    /// <param name="type">The type of matrices; norms, biases and routers are F32.</param>
    /// <param name="mtpLayers">Layers for multi-token prediction to write behind the ordinary ones.</param>
    /// <param name="leftOut">Receives the checkpoint's tensors that are not written: the vision tower, and a head that is tied to the embedding.</param>
    /// <exception cref="CheckpointException">A tensor is missing, has another shape, or has no place in the file.</exception>
    public static IReadOnlyList<GgufOutput> Create(DecoderConfig config, ModelWeights weights, GgufTensorType type, int mtpLayers, out IReadOnlyList<string> leftOut)
    {
        MappedWeight[] map = [.. WeightMap.Create(config, mtpLayers).Where(weight => !weight.IsOptional || weights.Has(weight.Parts[0]))];
        HashSet<string> used = [.. map.SelectMany(weight => weight.Parts).SelectMany(part => (string[])[part, part + "_scale"])];
        string[] rest = [.. weights.Names.Where(name => !used.Contains(name)).Order(StringComparer.Ordinal)];
        bool vision = config.MropeSection is not null;
        string? homeless = rest.FirstOrDefault(name => !(vision && name.StartsWith("model.visual.", StringComparison.Ordinal)) && !(config.TieWordEmbeddings && name == "lm_head.weight"));
        leftOut = homeless is null
            ? rest
            : throw new CheckpointException(weights.Path, $"tensor '{homeless}' has no place in a GGUF file of model_type '{config.ModelType}'. Writing the others would give a model that computes something else.");
        return [.. map.Select(weight => new GgufOutput(new GgufTensorInfo(weight.Gguf, TypeOf(weight, type), weight.Shape), [.. weight.Parts.Select(part => Source(weight, part, weights))]))];
    }

    private static GgufTensorType TypeOf(MappedWeight weight, GgufTensorType type) =>
        weight.Shape.Count == 1 || weight.Gguf.EndsWith(".ffn_gate_inp.weight", StringComparison.Ordinal) ? GgufTensorType.F32 : type;

    private static TensorSource Source(MappedWeight weight, string part, ModelWeights weights)
    {
        int[]? order = weight.RowOrder is null ? null : [.. weight.RowOrder];
        if (weight.Shape is [long length])
        {
            float[] values = weights.Vector(part, length);
            return new VectorSource(part, order is null ? values : [.. order.Select(row => values[row])]);
        }

        return new MatrixSource(part, weights.Matrix(part[..^Weight.Length], (int)weight.Shape[^2], (int)weight.Shape[^1]), order);
    }
}

using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>Name, element type and shape of a tensor, without its bytes.</summary>
/// <param name="Name">The name in the checkpoint, for example <c>model.layers.0.self_attn.q_proj.weight</c>.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Sizes, outermost first; a Linear weight is [out features, in features].</param>
public record TensorInfo(string Name, ElementType Type, IReadOnlyList<long> Shape)
{
    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long Elements { get; } = Shape.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>Size of the data in bytes.</summary>
    public long Bytes => checked(Elements * Type.Bytes());

    /// <summary>For example <c>BF16 [4096, 13696]</c>.</summary>
    public string Describe() => $"{Type.SafetensorsName()} [{string.Join(", ", Shape)}]";
}

/// <summary>A tensor inside a safetensors file.</summary>
/// <param name="Name">The name.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Sizes, outermost first.</param>
/// <param name="Offset">Where the data starts, in bytes from the start of the file.</param>
public sealed record StoredTensor(string Name, ElementType Type, IReadOnlyList<long> Shape, long Offset)
    : TensorInfo(Name, Type, Shape);

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>Name, type and shape of a tensor of a GGUF file, without its bytes.</summary>
/// <param name="Name">For example <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Type">Block type.</param>
/// <param name="Shape">
/// Sizes, outermost first as in safetensors: a weight is [out features, in features], a stack of experts [experts, out, in]. Files hold them in reverse order.
/// </param>
public record GgufTensorInfo(string Name, GgufTensorType Type, IReadOnlyList<long> Shape)
{
    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long Elements { get; } = Shape.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>Size of the data in bytes.</summary>
    public long Bytes => checked(Elements / Type.BlockValues * Type.BlockBytes);

    /// <summary>For example <c>Q4_K [4096, 13696]</c>.</summary>
    public string Describe() => $"{Type.Name} [{string.Join(", ", Shape)}]";
}

/// <summary>A tensor inside a GGUF file.</summary>
/// <param name="Name">The name.</param>
/// <param name="Type">Block type.</param>
/// <param name="Shape">Sizes, outermost first.</param>
/// <param name="Offset">Where the data starts, in bytes from the start of the file.</param>
public sealed record GgufTensor(string Name, GgufTensorType Type, IReadOnlyList<long> Shape, long Offset) : GgufTensorInfo(Name, Type, Shape);

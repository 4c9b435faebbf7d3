using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Quantization.Modules;

/// <summary>What a module of a checkpoint computes, as far as quantization cares.</summary>
public enum ModuleKind
{
    /// <summary>Holds other modules only.</summary>
    Container,

    /// <summary>A matrix product, with or without bias.</summary>
    Linear,

    /// <summary>A lookup table.</summary>
    Embedding,

    /// <summary>The expert router: a matrix with a correction bias, not a Linear to any client.</summary>
    Router,

    /// <summary>A 2-D or 3-D convolution.</summary>
    Convolution,

    /// <summary>RMS or layer normalization.</summary>
    Norm,

    /// <summary>The routed experts of one layer stored as one 3-D tensor.</summary>
    FusedExperts,
}

/// <summary>Which part of the model a module belongs to.</summary>
public enum ModelPart
{
    /// <summary>Embeddings, decoder layers, final norm.</summary>
    Decoder,

    /// <summary>The vision tower and its merger.</summary>
    Vision,

    /// <summary>A multi-token prediction layer.</summary>
    Mtp,

    /// <summary>The output head.</summary>
    Head,
}

/// <summary>A module of the checkpoint with the tensors it owns.</summary>
/// <param name="Name">Full path, for example <c>model.layers.0.mlp.down_proj</c>.</param>
/// <param name="Kind">What it computes.</param>
/// <param name="ClassName">The class that transformers gives it; recipes may name it.</param>
/// <param name="Part">The part of the model.</param>
/// <param name="Tensors">Its own tensors (weight, bias, …).</param>
public sealed record ModelModule(
    string Name, ModuleKind Kind, string ClassName, ModelPart Part, IReadOnlyList<TensorInfo> Tensors)
{
    /// <summary>The tensor named <c>weight</c>, or null.</summary>
    public TensorInfo? Weight => Tensors.FirstOrDefault(tensor => tensor.Name.Length == Name.Length + 7 && tensor.Name.EndsWith(".weight", StringComparison.Ordinal));

    /// <summary>Two codes to a byte: the tensor named <c>weight_packed</c>, or null.</summary>
    public TensorInfo? PackedWeight => Tensors.FirstOrDefault(tensor => tensor.Name.Length == Name.Length + 14 && tensor.Name.EndsWith(".weight_packed", StringComparison.Ordinal));

    /// <summary>The path's last part, for example <c>down_proj</c>.</summary>
    public string LastName => Name[(Name.LastIndexOf('.') + 1)..];
}

using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Recipes;

namespace Bitsmith.Quantization.Planning;

/// <summary>What happens to one tensor of the source.</summary>
/// <param name="Source">The tensor as it is.</param>
/// <param name="Module">The module that owns it.</param>
/// <param name="Group">The scheme it is encoded with; null where it is carried over unchanged.</param>
/// <param name="Rule">What decided, in words: the recipe's entry or the reason.</param>
/// <param name="Outputs">What is written for it, in order: itself, or codes and scales.</param>
public sealed record PlanRow(
    TensorInfo Source, ModelModule Module, RecipeGroup? Group, string Rule, IReadOnlyList<TensorInfo> Outputs)
{
    /// <summary>True where the tensor is encoded.</summary>
    public bool IsEncoded => Group is not null;

    /// <summary>Where the format has a global scale: the name of what shares it, see <see cref="Modules.Fusion"/>; otherwise null.</summary>
    public string? Fusion => Group?.Storage.HasGlobalScale == true ? Modules.Fusion.KeyOf(Module) : null;

    /// <summary>Bytes in the result.</summary>
    public long BytesAfter => Outputs.Sum(output => output.Bytes);
}

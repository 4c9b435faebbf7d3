using System.Text.Json.Serialization;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Recipes;

/// <summary>What to quantize and how; independent of a checkpoint.</summary>
/// <param name="Source">Where it came from, for messages: a preset's name or a file.</param>
/// <param name="Groups">Schemes with the modules they apply to.</param>
/// <param name="Ignore">Modules that stay as they are: names, class names or <c>re:</c> patterns.</param>
public sealed record Recipe(string Source, IReadOnlyList<RecipeGroup> Groups, IReadOnlyList<string> Ignore)
{
    /// <summary>
    /// True for a preset: it ignores what no client expects quantized (output head, vision tower), as far as the checkpoint has it.
    /// </summary>
    public bool IsPreset { get; init; }

    /// <summary>Tells which group a module belongs to.</summary>
    /// <exception cref="RecipeException">A target or ignore entry is no usable regular expression.</exception>
    public ModuleMatcher<RecipeGroup> CreateMatcher()
    {
        try
        {
            return new ModuleMatcher<RecipeGroup>(Groups, group => group.Targets, Ignore);
        }
        catch (ModulePatternException problem)
        {
            throw new RecipeException($"{Source}: {problem.Message}", problem);
        }
    }
}

/// <summary>One scheme and its targets.</summary>
/// <param name="Targets">Class names, module names or <c>re:</c> patterns.</param>
/// <param name="Weights">How weights are stored.</param>
/// <param name="InputActivations">How clients quantize inputs at run time, or null.</param>
public sealed record RecipeGroup(IReadOnlyList<string> Targets, QuantizationArgs Weights, QuantizationArgs? InputActivations)
{
    /// <summary>The block of an FP8 block scheme.</summary>
    [JsonIgnore]
    public BlockShape Block => new(Weights.BlockStructure![0], Weights.BlockStructure[1]);

    /// <summary>compressed-tensors' name of the storage format.</summary>
    [JsonIgnore]
    public string Format => Weights is { Type: "float", NumBits: 8 }
        ? "float-quantized"
        : throw new RecipeException($"no storage format is known for {Weights.NumBits}-bit {Weights.Type} weights.");

    /// <summary>Checks that Bitsmith can encode the scheme.</summary>
    /// <exception cref="RecipeException">It cannot; the message says what it can.</exception>
    public void Validate(string place)
    {
        const string Supported = "Bitsmith encodes FP8 blocks: num_bits 8, type float, strategy block, block_structure [rows, columns], symmetric true, dynamic false";
        if (Targets.Count == 0)
        {
            throw new RecipeException($"{place}: no targets. Write for example targets: [Linear].");
        }

        if (Weights is not { NumBits: 8, Type: "float", Strategy: "block", Symmetric: true, Dynamic: "false" })
        {
            throw new RecipeException(
                $"{place}.weights: num_bits {Weights.NumBits}, type {Weights.Type}, strategy {Weights.Strategy}, symmetric {(Weights.Symmetric ? "true" : "false")}, dynamic {Weights.Dynamic} is not available. {Supported}.");
        }

        if (Weights.BlockStructure is not [> 0 and <= 65536, > 0 and <= 65536])
        {
            throw new RecipeException($"{place}.weights: block_structure must be two sizes from 1 to 65536, for example [128, 128].");
        }

        if (InputActivations is { } inputs
            && (inputs is not { NumBits: 8, Type: "float", Symmetric: true, Dynamic: "true" } || inputs is not { Strategy: "group", GroupSize: > 0 }))
        {
            throw new RecipeException(
                $"{place}.input_activations: num_bits {inputs.NumBits}, type {inputs.Type}, strategy {inputs.Strategy}, dynamic {inputs.Dynamic} is not available. With FP8 blocks, activations are 8 bit float, strategy group with a group_size, dynamic true; or none.");
        }
    }
}

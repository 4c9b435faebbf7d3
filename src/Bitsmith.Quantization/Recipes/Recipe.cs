using System.Text.Json.Serialization;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Formats;
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

    /// <summary>How weights are fitted to calibration samples, where the recipe says it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public CalibrationMethod? Method { get; init; }

    /// <summary>How scales and codes are chosen where nothing is said: as the library does where only FP8 blocks are written, else by search.</summary>
    [JsonIgnore]
    public WeightEncoder DefaultEncoder => Groups.All(group => group.Storage.DefaultEncoder == WeightEncoder.Library) ? WeightEncoder.Library : WeightEncoder.Best;

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
    /// <summary>compressed-tensors' name of the type in which it computes zero points of 4-bit integers.</summary>
    internal const string ZeroPointType = "torch.int8";

    // Group sizes that clients have kernels for.
    private static readonly int[] Int4Groups = [32, 64, 128];

    /// <summary>How weights are stored.</summary>
    [JsonIgnore]
    public StorageFormat Storage => StorageFormat.Of(this);

    /// <summary>Weights that share a scale.</summary>
    [JsonIgnore]
    public BlockShape Block => Storage.Block;

    /// <summary>compressed-tensors' name of the storage format.</summary>
    [JsonIgnore]
    public string Format => Storage.Name;

    /// <summary>Checks that Bitsmith can encode the scheme.</summary>
    /// <exception cref="RecipeException">It cannot; the message says what it can.</exception>
    public void Validate(string place)
    {
        const string Supported = "Bitsmith encodes FP8 blocks (num_bits 8, type float, strategy block, block_structure [rows, columns]), 4-bit integers (num_bits 4, type int, strategy group, group_size 32, 64 or 128, symmetric true or false) "
            + "and NVFP4 (num_bits 4, type float, strategy tensor_group, group_size 16); the others with symmetric true, each with dynamic false";
        if (Targets.Count == 0)
        {
            throw new RecipeException($"{place}: no targets. Write for example targets: [Linear].");
        }

        switch (Weights)
        {
            case { NumBits: 8, Type: "float", Strategy: "block", Symmetric: true, Dynamic: "false", ActOrder: null }:
                CheckFp8(place);
                break;
            case { NumBits: 4, Type: "int", Strategy: "group", Dynamic: "false", ActOrder: null }:
                Require(Weights.GroupSize is int size && Int4Groups.Contains(size), $"{place}.weights: group_size {Weights.GroupSize} is not available; {string.Join(", ", Int4Groups)} are");
                Require(Weights.Symmetric || Weights.ZeroPointDtype == ZeroPointType, $"{place}.weights: zp_dtype {Weights.ZeroPointDtype} is not available; {ZeroPointType} is");
                Require(InputActivations is null, $"{place}.input_activations: activations beside 4-bit integer weights are not available; leave them out");
                break;
            case { NumBits: 4, Type: "float", Strategy: "tensor_group", Symmetric: true, Dynamic: "false", ActOrder: null }:
                CheckNvFp4(place);
                break;
            default:
                throw new RecipeException(
                    $"{place}.weights: num_bits {Weights.NumBits}, type {Weights.Type}, strategy {Weights.Strategy}, symmetric {(Weights.Symmetric ? "true" : "false")}, dynamic {Weights.Dynamic} is not available. {Supported}.");
        }
    }

    private void CheckFp8(string place)
    {
        Require(Weights.BlockStructure is [> 0 and <= 65536, > 0 and <= 65536], $"{place}.weights: block_structure must be two sizes from 1 to 65536, for example [128, 128]");
        Require(
            InputActivations is null or { NumBits: 8, Type: "float", Symmetric: true, Dynamic: "true", Strategy: "group", GroupSize: > 0 },
            $"{place}.input_activations: num_bits {InputActivations?.NumBits}, type {InputActivations?.Type}, strategy {InputActivations?.Strategy}, dynamic {InputActivations?.Dynamic} is not available. With FP8 blocks, activations are 8 bit float, strategy group with a group_size, dynamic true; or none");
    }

    private void CheckNvFp4(string place)
    {
        Require(Weights.GroupSize is NvFp4Group.Columns, $"{place}.weights: group_size {Weights.GroupSize} is not available; NVFP4 has groups of {NvFp4Group.Columns}");
        Require(
            InputActivations is null or { NumBits: 4, Type: "float", Symmetric: true, Dynamic: "local", Strategy: "tensor_group", GroupSize: NvFp4Group.Columns },
            $"{place}.input_activations: num_bits {InputActivations?.NumBits}, type {InputActivations?.Type}, strategy {InputActivations?.Strategy}, dynamic {InputActivations?.Dynamic} is not available. With NVFP4, activations are 4 bit float, strategy tensor_group with group_size {NvFp4Group.Columns}, dynamic local; or none");
    }

    private static void Require(bool condition, string problem)
    {
        if (!condition)
        {
            throw new RecipeException($"{problem}.");
        }
    }
}

using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Inspection;

/// <summary>What is in a safetensors file, a GGUF model or a model folder, from headers alone.</summary>
/// <param name="Path">The file or folder.</param>
/// <param name="ModelType"><c>model_type</c>, of a GGUF model <c>general.architecture</c>; null for a single safetensors file.</param>
/// <param name="Architectures"><c>architectures</c>.</param>
/// <param name="Parameters">Elements of all tensors, of packed ones the weights that they hold; scales and other quantization parameters count apart.</param>
/// <param name="QuantizationParameters">Elements of scales, zero points and shapes.</param>
/// <param name="TensorBytes">Bytes of all tensors.</param>
/// <param name="BitsPerWeight">Tensor bits over parameters.</param>
/// <param name="Types">Tensors by element type.</param>
/// <param name="Files">The weight files.</param>
/// <param name="SideFiles">Other files of the folder.</param>
/// <param name="Quantization">The quantization, one line for each group; empty where there is none.</param>
/// <param name="Tensors">All tensors in order.</param>
/// <param name="Metadata">The key/value pairs of a GGUF model.</param>
public sealed record CheckpointSummary(
    string Path,
    string? ModelType,
    IReadOnlyList<string> Architectures,
    long Parameters,
    long QuantizationParameters,
    long TensorBytes,
    double BitsPerWeight,
    IReadOnlyList<TypeSummary> Types,
    IReadOnlyList<FileSummary> Files,
    IReadOnlyList<string> SideFiles,
    IReadOnlyList<string> Quantization,
    IReadOnlyList<TensorSummary> Tensors,
    IReadOnlyList<MetadataSummary> Metadata)
{
    private static readonly string[] ParameterSuffixes = ["_scale", "_zero_point", "_shape", "_g_idx"];

    /// <summary>Reads a .safetensors file, a .gguf file (of a split model, any of its files) or a Hugging Face folder.</summary>
    /// <exception cref="CheckpointException">It is broken, or none of these.</exception>
    public static CheckpointSummary Create(string path)
    {
        if (Directory.Exists(path))
        {
            using CheckpointFolder folder = CheckpointFolder.Open(path);
            QuantizationConfig? quantization = QuantizationConfig.Read(folder.Config.Text, System.IO.Path.Combine(path, ModelConfig.FileName));
            (IReadOnlyList<string> carried, IReadOnlyList<string> leftOut) = HuggingFace.SideFiles.List(folder);
            return Summarize(
                path, folder.Config, folder.Files, [.. carried, .. leftOut],
                [.. quantization?.Groups.Select(Describe) ?? []]);
        }

        if (!File.Exists(path))
        {
            throw new CheckpointException(path, "there is no such file or folder.");
        }

        if (GgufFile.IsGguf(path))
        {
            return GgufSummary.Create(path);
        }

        using SafetensorsFile file = SafetensorsFile.Open(path);
        return Summarize(path, null, [file], [], []);
    }

    /// <summary>The summary as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, InspectionJson.Default.CheckpointSummary);

    private static CheckpointSummary Summarize(
        string path, ModelConfig? config, IReadOnlyList<SafetensorsFile> files, IReadOnlyList<string> sideFiles, IReadOnlyList<string> quantization)
    {
        (StoredTensor Tensor, string File)[] tensors =
            [.. files.SelectMany(file => file.Header.Tensors.Select(tensor => (tensor, System.IO.Path.GetFileName(file.Path))))];
        ILookup<bool, StoredTensor> byRole = tensors.Select(entry => entry.Tensor)
            .ToLookup(tensor => ParameterSuffixes.Any(suffix => tensor.Name.EndsWith(suffix, StringComparison.Ordinal)));
        long parameters = byRole[false].Sum(ParametersOf);
        long bytes = tensors.Sum(entry => entry.Tensor.Bytes);
        return new CheckpointSummary(
            path,
            config?.ModelType,
            config?.Architectures ?? [],
            parameters,
            byRole[true].Sum(tensor => tensor.Elements),
            bytes,
            parameters == 0 ? 0 : 8.0 * bytes / parameters,
            [.. tensors.GroupBy(entry => entry.Tensor.Type).OrderBy(group => group.Key)
                .Select(group => new TypeSummary(group.Key.SafetensorsName(), group.Count(), group.Sum(entry => entry.Tensor.Elements), group.Sum(entry => entry.Tensor.Bytes)))],
            [.. files.Select(file => new FileSummary(System.IO.Path.GetFileName(file.Path), file.Length, file.Header.Tensors.Count, file.Header.Metadata))],
            sideFiles,
            quantization,
            [.. tensors.Select(entry => new TensorSummary(entry.Tensor.Name, entry.Tensor.Type.SafetensorsName(), entry.Tensor.Shape, entry.Tensor.Bytes, entry.File))],
            []);
    }

    // Packed codes have four bits each.
    private static long ParametersOf(StoredTensor tensor) => tensor.Name.EndsWith("_packed", StringComparison.Ordinal) ? 2 * tensor.Bytes : tensor.Elements;

    private static string Describe(QuantizationGroup group) =>
        $"{group.Format}: weights {Describe(group.Weights)}, activations {(group.InputActivations is null ? "none" : Describe(group.InputActivations))}; targets {string.Join(", ", group.Targets)}";

    private static string Describe(QuantizationArgs args) =>
        $"{args.NumBits} bit {args.Type} {args.Strategy}{(args.BlockStructure is { } block ? $" {string.Join('x', block)}" : string.Empty)}{(args.GroupSize is int size ? $" {size}" : string.Empty)}{(args.Dynamic == "false" ? string.Empty : $" dynamic {args.Dynamic}")}";
}

/// <summary>Tensors of one element type.</summary>
/// <param name="Type">The format's name of it.</param>
/// <param name="Tensors">How many.</param>
/// <param name="Elements">Elements.</param>
/// <param name="Bytes">Bytes.</param>
public sealed record TypeSummary(string Type, int Tensors, long Elements, long Bytes);

/// <summary>A weight file.</summary>
/// <param name="File">Name.</param>
/// <param name="Bytes">Length.</param>
/// <param name="Tensors">Number of tensors.</param>
/// <param name="Metadata">Its metadata.</param>
public sealed record FileSummary(string File, long Bytes, int Tensors, IReadOnlyDictionary<string, string> Metadata);

/// <summary>A tensor.</summary>
/// <param name="Name">Name.</param>
/// <param name="Type">The format's name of the element type.</param>
/// <param name="Shape">Sizes, outermost first.</param>
/// <param name="Bytes">Bytes.</param>
/// <param name="File">The file that holds it.</param>
public sealed record TensorSummary(string Name, string Type, IReadOnlyList<long> Shape, long Bytes, string File);

/// <summary>A key/value pair of a GGUF model.</summary>
/// <param name="Key">The key.</param>
/// <param name="Type">The type, for example <c>UInt32</c> or <c>String[151552]</c>.</param>
/// <param name="Value">The value; of an array the first elements.</param>
public sealed record MetadataSummary(string Key, string Type, JsonNode Value);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CheckpointSummary))]
internal sealed partial class InspectionJson : JsonSerializerContext;

using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Weights;

/// <summary>
/// The weights of a model folder by name, in their stored form. What is asked for must exist with the shape that the config implies; anything else is an error that names the
/// tensor, what was found and what was expected.
/// </summary>
public sealed class ModelWeights : IDisposable
{
    private readonly CheckpointFolder folder;
    private readonly Dictionary<string, (SafetensorsFile File, StoredTensor Tensor)> places;
    private readonly ModuleMatcher<QuantizationGroup>? quantization;

    private ModelWeights(CheckpointFolder folder)
    {
        this.folder = folder;
        places = folder.Files.SelectMany(file => file.Header.Tensors.Select(tensor => (tensor.Name, (file, tensor)))).ToDictionary(StringComparer.Ordinal);
        quantization = QuantizationConfig.Read(folder.Config.Text, Path.Combine(folder.Path, ModelConfig.FileName))?.CreateMatcher();
    }

    /// <summary>config.json.</summary>
    public ModelConfig Config => folder.Config;

    /// <summary>The folder.</summary>
    public string Folder => folder.Path;

    /// <summary>The names of all tensors, scales included.</summary>
    public IReadOnlyCollection<string> Names => places.Keys;

    /// <summary>Opens a model folder; weights are mapped, not read.</summary>
    /// <exception cref="CheckpointException">The folder is no complete checkpoint.</exception>
    public static ModelWeights Open(string path) => new(CheckpointFolder.Open(path));

    /// <summary>True where the checkpoint has a tensor of this name.</summary>
    public bool Has(string tensor) => places.ContainsKey(tensor);

    /// <summary>The weight of a Linear module.</summary>
    /// <param name="module">For example <c>model.layers.0.mlp.down_proj</c>.</param>
    /// <param name="rows">Out features expected.</param>
    /// <param name="columns">In features expected.</param>
    /// <exception cref="CheckpointException">It is missing, or has another shape or type.</exception>
    public WeightMatrix Matrix(string module, int rows, int columns)
    {
        (SafetensorsFile file, StoredTensor tensor) = Find($"{module}.weight", [rows, columns]);
        MappedTensor bytes = new(file, tensor);
        if (tensor.Type.IsWeightFloat())
        {
            return WeightMatrix.Dense(tensor.Type, rows, columns, bytes);
        }

        if (tensor.Type != ElementType.F8E4M3 || quantization?.FindGroup(module, "Linear") is not { Weights: { Strategy: "block", BlockStructure: [int height, int width] } })
        {
            throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is {tensor.Describe()}, which quantization_config does not explain. Running needs F32, F16, BF16 or FP8 blocks.");
        }

        BlockShape block = new(height, width);
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        (SafetensorsFile scaleFile, StoredTensor scales) = Find($"{module}.weight_scale", [gridRows, gridColumns]);
        return scales.Type.IsWeightFloat()
            ? WeightMatrix.Fp8(rows, columns, block, bytes, scales.Type, new MappedTensor(scaleFile, scales))
            : throw new CheckpointException(scaleFile.Path, $"tensor '{scales.Name}' is {scales.Describe()}; scales are F32, F16 or BF16.");
    }

    /// <summary>The group in which a module's inputs are quantized to FP8 at run time, or null where they stay exact.</summary>
    /// <exception cref="CheckpointException">The scheme quantizes inputs in a way that cannot be run.</exception>
    public int? ActivationGroup(string module, int columns)
    {
        if (places.GetValueOrDefault($"{module}.weight").Tensor?.Type != ElementType.F8E4M3 || quantization?.FindGroup(module, "Linear")?.InputActivations is not { } inputs)
        {
            return null;
        }

        return inputs is { NumBits: 8, Type: "float", Strategy: "group", Dynamic: "true", GroupSize: int size } && columns % size == 0
            ? size
            : throw new CheckpointException(
                folder.Path, $"'{module}' quantizes its {columns} inputs as {inputs.NumBits} bit {inputs.Type}, strategy {inputs.Strategy}, group_size {inputs.GroupSize}, dynamic {inputs.Dynamic}, which cannot be run. Run with exact activations.");
    }

    /// <summary>A convolution's kernel as a matrix: one row for each output channel. Kernels are stored unquantized.</summary>
    /// <param name="module">For example <c>model.visual.patch_embed.proj</c>.</param>
    /// <param name="shape">The shape expected, output channels first.</param>
    /// <exception cref="CheckpointException">It is missing, or has another shape or type.</exception>
    public WeightMatrix Kernel(string module, params ReadOnlySpan<long> shape)
    {
        (SafetensorsFile file, StoredTensor tensor) = Find($"{module}.weight", shape);
        return tensor.Type.IsWeightFloat()
            ? WeightMatrix.Dense(tensor.Type, (int)shape[0], checked((int)(tensor.Elements / shape[0])), new MappedTensor(file, tensor))
            : throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is {tensor.Describe()}; expected F32, F16 or BF16.");
    }

    /// <summary>A small tensor (norm, bias), widened to binary32.</summary>
    /// <exception cref="CheckpointException">It is missing, or has another shape or type.</exception>
    public float[] Vector(string tensor, params ReadOnlySpan<long> shape)
    {
        (SafetensorsFile file, StoredTensor stored) = Find(tensor, shape);
        if (!stored.Type.IsWeightFloat())
        {
            throw new CheckpointException(file.Path, $"tensor '{tensor}' is {stored.Describe()}; expected F32, F16 or BF16.");
        }

        float[] values = new float[stored.Elements];
        ElementConversion.ToSingle(stored.Type, file.View(stored), values, Cpu.Default);
        return values;
    }

    /// <inheritdoc/>
    public void Dispose() => folder.Dispose();

    private (SafetensorsFile File, StoredTensor Tensor) Find(string name, ReadOnlySpan<long> shape)
    {
        if (!places.TryGetValue(name, out var place))
        {
            throw new CheckpointException(folder.Path, $"tensor '{name}' [{string.Join(", ", shape.ToArray())}] is missing. The checkpoint is incomplete, or config.json belongs to another model.");
        }

        return place.Tensor.Shape.SequenceEqual(shape.ToArray())
            ? place
            : throw new CheckpointException(place.File.Path, $"tensor '{name}' is {place.Tensor.Describe()}, but config.json implies [{string.Join(", ", shape.ToArray())}]. Take config.json and weights from the same revision of the model.");
    }
}

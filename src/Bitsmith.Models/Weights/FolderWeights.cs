using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Text;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Weights;

/// <summary>The weights of a Hugging Face folder, original or FP8 blocks.</summary>
internal sealed class FolderWeights : ModelWeights
{
    private readonly CheckpointFolder folder;
    private readonly Dictionary<string, (SafetensorsFile File, StoredTensor Tensor)> places;
    private readonly ModuleMatcher<QuantizationGroup>? quantization;

    public FolderWeights(CheckpointFolder folder)
    {
        this.folder = folder;
        places = folder.Files.SelectMany(file => file.Header.Tensors.Select(tensor => (tensor.Name, (file, tensor)))).ToDictionary(StringComparer.Ordinal);
        quantization = QuantizationConfig.Read(folder.Config.Text, folder.Config.Text.Path)?.CreateMatcher();
    }

    public override ModelConfig Config => folder.Config;

    public override string Path => folder.Path;

    public override IReadOnlyList<(string Path, long Length)> Files => [.. folder.Files.Select(file => (file.Path, file.Length))];

    public override IReadOnlyCollection<string> Names => places.Keys;

    public override string TokenizerPath => System.IO.Path.Combine(folder.Path, "tokenizer.json");

    public override bool Has(string tensor) => places.ContainsKey(tensor);

    public override WeightMatrix Matrix(string name, int rows, int columns)
    {
        (SafetensorsFile file, StoredTensor tensor) = Find($"{name}.weight", [rows, columns]);
        MappedTensor bytes = new(file, tensor);
        if (tensor.Type.IsWeightFloat())
        {
            return WeightMatrix.Dense(tensor.Type, rows, columns, bytes);
        }

        if (tensor.Type != ElementType.F8E4M3 || quantization?.FindGroup(name, "Linear") is not { Weights: { Strategy: "block", BlockStructure: [int height, int width] } })
        {
            throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is {tensor.Describe()}, which quantization_config does not explain. Running needs F32, F16, BF16 or FP8 blocks.");
        }

        BlockShape block = new(height, width);
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        (SafetensorsFile scaleFile, StoredTensor scales) = Find($"{name}.weight_scale", [gridRows, gridColumns]);
        return scales.Type.IsWeightFloat()
            ? WeightMatrix.Fp8(rows, columns, block, bytes, scales.Type, new MappedTensor(scaleFile, scales))
            : throw new CheckpointException(scaleFile.Path, $"tensor '{scales.Name}' is {scales.Describe()}; scales are F32, F16 or BF16.");
    }

    public override int? ActivationGroup(string name, int columns)
    {
        if (places.GetValueOrDefault($"{name}.weight").Tensor?.Type != ElementType.F8E4M3 || quantization?.FindGroup(name, "Linear")?.InputActivations is not { } inputs)
        {
            return null;
        }

        return inputs is { NumBits: 8, Type: "float", Strategy: "group", Dynamic: "true", GroupSize: int size } && columns % size == 0
            ? size
            : throw new CheckpointException(
                folder.Path, $"'{name}' quantizes its {columns} inputs as {inputs.NumBits} bit {inputs.Type}, strategy {inputs.Strategy}, group_size {inputs.GroupSize}, dynamic {inputs.Dynamic}, which cannot be run. Run with exact activations.");
    }

    public override WeightMatrix Kernel(string name, params ReadOnlySpan<long> shape)
    {
        (SafetensorsFile file, StoredTensor tensor) = Find($"{name}.weight", shape);
        return tensor.Type.IsWeightFloat()
            ? WeightMatrix.Dense(tensor.Type, (int)shape[0], checked((int)(tensor.Elements / shape[0])), new MappedTensor(file, tensor))
            : throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is {tensor.Describe()}; expected F32, F16 or BF16.");
    }

    public override float[] Vector(string tensor, params ReadOnlySpan<long> shape)
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

    private protected override Tokenizer LoadTokenizer() => Tokenizer.Load(TokenizerPath);

    protected override void Dispose(bool disposing) => folder.Dispose();

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

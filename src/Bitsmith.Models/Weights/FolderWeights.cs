using System.Runtime.InteropServices;
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

/// <summary>The weights of a Hugging Face folder, original or in a format of compressed-tensors.</summary>
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
        if (places.ContainsKey($"{name}.weight_packed"))
        {
            return PackedMatrix(name, rows, columns);
        }

        (SafetensorsFile file, StoredTensor tensor) = Find($"{name}.weight", [rows, columns]);
        MappedTensor bytes = new(file, tensor);
        if (tensor.Type.IsWeightFloat())
        {
            return WeightMatrix.Dense(tensor.Type, rows, columns, bytes);
        }

        if (tensor.Type != ElementType.F8E4M3 || SchemeOf(name) is not { Weights: { Strategy: "block", BlockStructure: [int height, int width] } })
        {
            throw Unexplained(file, tensor);
        }

        BlockShape block = new(height, width);
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        (SafetensorsFile scaleFile, StoredTensor scales) = FindScales(name, [gridRows, gridColumns]);
        return WeightMatrix.Fp8(rows, columns, block, bytes, scales.Type, new MappedTensor(scaleFile, scales));
    }

    public override InputQuantization? InputScheme(string name, int columns)
    {
        bool isEncoded = places.ContainsKey($"{name}.weight_packed") || places.GetValueOrDefault($"{name}.weight").Tensor?.Type == ElementType.F8E4M3;
        return !isEncoded || SchemeOf(name)?.InputActivations is not { } inputs
            ? null
            : inputs switch
            {
                { NumBits: 8, Type: "float", Strategy: "group", Dynamic: "true", GroupSize: int size } when size > 0 && columns % size == 0 => new InputQuantization.Fp8(size),
                { NumBits: 4, Type: "float", Strategy: "tensor_group", Dynamic: "local", GroupSize: NvFp4Group.Columns } => new InputQuantization.NvFp4(GlobalScale($"{name}.input_global_scale")),
                _ => throw new CheckpointException(
                    folder.Path, $"'{name}' quantizes its {columns} inputs as {inputs.NumBits} bit {inputs.Type}, strategy {inputs.Strategy}, group_size {inputs.GroupSize}, dynamic {inputs.Dynamic}, which cannot be run. Run with exact activations."),
            };
    }

    /// <summary>Weights of two codes in a byte.</summary>
    private WeightMatrix PackedMatrix(string name, int rows, int columns)
    {
        string packed = $"{name}.weight_packed";
        (SafetensorsFile file, StoredTensor tensor) = places[packed];
        switch (SchemeOf(name)?.Weights)
        {
            case { NumBits: 4, Type: "int", Strategy: "group", Symmetric: bool symmetric, ActOrder: null, GroupSize: int size } when Int4Group.IsGroupSize(size) && columns % size == 0:
            {
                (file, tensor) = Find(packed, [rows, columns / 8]);
                (SafetensorsFile scaleFile, StoredTensor scales) = FindScales(name, [rows, columns / size]);
                TensorBytes? zeroPoints = symmetric ? null : FindZeroPoints(name, rows, columns / size);
                return tensor.Type == ElementType.I32 && IsShape($"{name}.weight_shape", rows, columns)
                    ? WeightMatrix.Int4(rows, columns, size, new MappedTensor(file, tensor), scales.Type, new MappedTensor(scaleFile, scales), zeroPoints)
                    : throw Unexplained(file, tensor);
            }

            case { NumBits: 4, Type: "float", Strategy: "tensor_group", Symmetric: true, GroupSize: NvFp4Group.Columns } when columns % NvFp4Group.Columns == 0:
            {
                (file, tensor) = Find(packed, [rows, columns / 2]);
                (SafetensorsFile scaleFile, StoredTensor scales) = Find($"{name}.weight_scale", [rows, columns / NvFp4Group.Columns]);
                return tensor.Type == ElementType.U8 && scales.Type == ElementType.F8E4M3
                    ? WeightMatrix.NvFp4(rows, columns, new MappedTensor(file, tensor), new MappedTensor(scaleFile, scales), GlobalScale($"{name}.weight_global_scale"))
                    : throw Unexplained(file, tensor.Type == ElementType.U8 ? scales : tensor);
            }

            default:
                throw Unexplained(file, tensor);
        }
    }

    private QuantizationGroup? SchemeOf(string name) => quantization?.FindGroup(name, "Linear");

    private (SafetensorsFile File, StoredTensor Tensor) FindScales(string name, ReadOnlySpan<long> shape)
    {
        (SafetensorsFile file, StoredTensor scales) = Find($"{name}.weight_scale", shape);
        return scales.Type.IsWeightFloat()
            ? (file, scales)
            : throw new CheckpointException(file.Path, $"tensor '{scales.Name}' is {scales.Describe()}; scales are F32, F16 or BF16.");
    }

    /// <summary>The zero points of asymmetric groups.</summary>
    private MappedTensor FindZeroPoints(string name, int rows, int groups)
    {
        string zeroPoints = $"{name}.weight_zero_point";
        if (!places.ContainsKey(zeroPoints))
        {
            throw new CheckpointException(folder.Path, $"tensor '{zeroPoints}' is missing, but config.json says symmetric: false. Take config.json and weights from the same revision of the model, or quantize again.");
        }

        (SafetensorsFile file, StoredTensor tensor) = Find(zeroPoints, [ZeroPoints.WordRows(rows), groups]);
        return tensor.Type == ElementType.I32
            ? new MappedTensor(file, tensor)
            : throw new CheckpointException(file.Path, $"tensor '{zeroPoints}' is {tensor.Describe()}; zero points are packed into I32, eight rows to a number. Quantize again with compressed-tensors 0.17.1 or Bitsmith.");
    }

    private bool IsShape(string name, int rows, int columns)
    {
        (SafetensorsFile file, StoredTensor tensor) = Find(name, [2]);
        ReadOnlySpan<byte> bytes = file.View(tensor);
        long[] shape = tensor.Type switch
        {
            ElementType.I64 => MemoryMarshal.Cast<byte, long>(bytes).ToArray(),
            ElementType.I32 => [MemoryMarshal.Read<int>(bytes), MemoryMarshal.Read<int>(bytes[sizeof(int)..])],
            _ => [],
        };
        return shape is [long first, long second] && (first, second) == (rows, columns)
            ? true
            : throw new CheckpointException(file.Path, $"tensor '{name}' says [{string.Join(", ", shape)}], but config.json implies [{rows}, {columns}]. Take config.json and weights from the same revision of the model.");
    }

    private float GlobalScale(string name)
    {
        float value = Vector(name, 1)[0];
        return value > 0 && float.IsFinite(value)
            ? value
            : throw new CheckpointException(places[name].File.Path, $"tensor '{name}' is {value}; a global scale is positive and finite.");
    }

    private static CheckpointException Unexplained(SafetensorsFile file, StoredTensor tensor) => new(
        file.Path, $"tensor '{tensor.Name}' is {tensor.Describe()}, which quantization_config does not explain. Running needs F32, F16, BF16, FP8 blocks, 4-bit integers in groups, or NVFP4.");

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

using System.Runtime.InteropServices;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Text;
using Bitsmith.Models.Vision;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Weights;

/// <summary>The weights of a GGUF file, and of the file with the vision tower where there is one, under Hugging Face's names and in the order of their rows.</summary>
internal sealed class GgufWeights : ModelWeights
{
    private const string Weight = ".weight";

    private static readonly string[] FusedParts = ["attn_q", "attn_k", "attn_v"];

    private readonly GgufModel model;
    private readonly Dictionary<string, Place> places = new(StringComparer.Ordinal);

    private GgufWeights(GgufModel model, GgufModel? tower)
    {
        (this.model, Tower) = (model, tower);
        Config = GgufConfig.Read(model, tower);
        int mtpLayers = Config.MtpLayers;
        Map(WeightMap.Create(DecoderConfig.Read(Config), mtpLayers), [], model);
        if (tower is not null)
        {
            VisionConfig vision = VisionConfig.Read(Config)!;
            if (tower.Find(VisionWeightMap.FrameKernel(0)) is { } kernel)
            {
                places.Add(VisionWeightMap.PatchKernel, new Place(kernel.File, kernel.Tensor));
            }

            Map(VisionWeightMap.Create(vision), Enumerable.Range(0, vision.TemporalPatchSize).Select(VisionWeightMap.FrameKernel), tower);
        }
    }

    public override ModelConfig Config { get; }

    public override string Path => model.Files[0].Path;

    public override IReadOnlyList<(string Path, long Length)> Files => [.. model.Files.Concat(Tower?.Files ?? []).Select(file => (file.Path, file.Length))];

    /// <summary>The key/value pairs of the language model's file.</summary>
    public GgufMetadata Metadata => model.Metadata;

    /// <summary>The file with the vision tower, or null.</summary>
    public GgufModel? Tower { get; }

    public override IReadOnlyCollection<string> Names => places.Keys;

    public static new GgufWeights Open(string path, string? mmproj)
    {
        GgufModel model = GgufModel.Open(path);
        GgufModel? tower = null;
        try
        {
            tower = mmproj is null ? null : GgufModel.Open(mmproj);
            return new GgufWeights(model, tower);
        }
        catch
        {
            tower?.Dispose();
            model.Dispose();
            throw;
        }
    }

    public override string TokenizerPath => Path;

    public override bool Has(string tensor) => places.ContainsKey(tensor);

    public override WeightMatrix Matrix(string name, int rows, int columns)
    {
        Place place = Find(name + Weight, [rows, columns]);
        GgmlFormat format = Format(place);
        WeightMatrix stored = WeightMatrix.Ggml(format.Type, rows, columns, place.File.Bytes(place.Tensor, format.RowBytes(place.First), format.RowBytes((long)rows * columns)));
        return place.Order is null ? stored : WeightMatrix.Reordered(stored, Inverse(place.Order));
    }

    public override InputQuantization? InputScheme(string name, int columns) => null;

    public override WeightMatrix Kernel(string name, params ReadOnlySpan<long> shape)
    {
        if (name + Weight == VisionWeightMap.PatchKernel)
        {
            return PatchKernel(shape);
        }

        float[] values = Vector(name + Weight, shape);
        return WeightMatrix.Dense(ElementType.F32, (int)shape[0], (int)(values.Length / shape[0]), Bytes(values));
    }

    public override float[] Vector(string tensor, params ReadOnlySpan<long> shape)
    {
        Place place = Find(tensor, shape);
        float[] values = Decode(place);
        if (place.Whole is not null)
        {
            values = values.AsSpan((int)place.First, (int)shape.ToArray().Aggregate(1L, (product, size) => product * size)).ToArray();
        }

        return place.Order is null ? values : [.. Inverse(place.Order).Select(row => values[row])];
    }

    private protected override Tokenizer LoadTokenizer() => Tokenizer.Load(Metadata, Path);

    protected override void Dispose(bool disposing)
    {
        Tower?.Dispose();
        model.Dispose();
    }

    /// <summary>Finds the places of a model's tensors; every tensor of the file must have one, or be among the others.</summary>
    private void Map(IReadOnlyList<MappedWeight> weights, IEnumerable<string> others, GgufModel source)
    {
        HashSet<string> known = [.. others];
        foreach (MappedWeight weight in weights)
        {
            known.Add(weight.Gguf);
            if (source.Find(weight.Gguf) is { } found)
            {
                bool isStack = weight.Shape.Count == 3;
                for (int part = 0; part < weight.Parts.Count; part++)
                {
                    places.Add(weight.Parts[part], new Place(found.File, found.Tensor, isStack ? weight.Shape : null, isStack ? part * weight.Shape[1] * weight.Shape[2] : 0, weight.RowOrder));
                }
            }
            else if (Fused(weight, weights) is { } fused && source.Find(fused.Name) is { } joined)
            {
                known.Add(fused.Name);
                places.Add(weight.Parts[0], new Place(joined.File, joined.Tensor, fused.Shape, fused.First, weight.RowOrder));
            }
        }

        if (source.Tensors.FirstOrDefault(tensor => !known.Contains(tensor.Name)) is { } homeless)
        {
            throw new CheckpointException(
                source.Files[0].Path, $"tensor '{homeless.Name}', {homeless.Describe()}, has no place in a model of type '{Config.ModelType}'. To run without it would compute something else than the file was made for.");
        }
    }

    /// <summary>Where a projection of q, k or v lies in a file that holds the three as one tensor, as the first GLM-4 models do.</summary>
    private static (string Name, IReadOnlyList<long> Shape, long First)? Fused(MappedWeight weight, IReadOnlyList<MappedWeight> weights)
    {
        string[] name = weight.Gguf.Split('.');
        if (name is not ["blk", _, "attn_q" or "attn_k" or "attn_v", _])
        {
            return null;
        }

        MappedWeight[] parts = [.. FusedParts.Select(part => weights.Single(other => other.Gguf == $"blk.{name[1]}.{part}.{name[3]}"))];
        long columns = weight.Shape.Count == 2 ? weight.Shape[1] : 1;
        return ($"blk.{name[1]}.attn_qkv.{name[3]}", [parts.Sum(part => part.Shape[0]), .. weight.Shape.Skip(1)], columns * parts.TakeWhile(part => part != weight).Sum(part => part.Shape[0]));
    }

    private Place Find(string name, ReadOnlySpan<long> shape)
    {
        if (!places.TryGetValue(name, out Place? place))
        {
            throw new CheckpointException(
                Path, $"the tensor of '{name}' [{string.Join(", ", shape.ToArray())}] is missing. The file is incomplete, or its metadata belong to another model.");
        }

        return Checked(place, place.Whole ?? shape.ToArray());
    }

    private static Place Checked(Place place, IReadOnlyList<long> shape) => place.Tensor.Shape.SequenceEqual(shape)
        ? place
        : throw new CheckpointException(place.File.Path, $"tensor '{place.Tensor.Name}' is {place.Tensor.Describe()}, but the metadata imply [{string.Join(", ", shape)}]. The file is damaged.");

    private static GgmlFormat Format(Place place) => GgmlFormats.TryGet(place.Tensor.Type.Number, out GgmlFormat? format)
        ? format
        : throw new CheckpointException(place.File.Path, $"tensor '{place.Tensor.Name}' is {place.Tensor.Describe()}, which is no type of weights. Running needs {GgmlFormats.KnownNames}.");

    private static float[] Decode(Place place)
    {
        float[] values = new float[place.Tensor.Elements];
        Format(place).Decode(place.File.View(place.Tensor), values, Cpu.Default);
        return values;
    }

    /// <summary>Channel by channel, the frames behind each other.</summary>
    private WeightMatrix PatchKernel(ReadOnlySpan<long> shape)
    {
        (int rows, int channels, int frames, int area) = ((int)shape[0], (int)shape[1], (int)shape[2], (int)(shape[3] * shape[4]));
        float[] kernel = new float[rows * channels * frames * area];
        long[] frameShape = [shape[0], shape[1], shape[3], shape[4]];
        for (int frame = 0; frame < frames; frame++)
        {
            string part = VisionWeightMap.FrameKernel(frame);
            Place place = Tower?.Find(part) is { } found
                ? Checked(new Place(found.File, found.Tensor), frameShape)
                : throw new CheckpointException(Tower?.Files[0].Path ?? Path, $"has no tensor '{part}'. The file of the vision tower is incomplete.");
            float[] values = Decode(place);
            for (int i = 0; i < rows * channels; i++)
            {
                values.AsSpan(i * area, area).CopyTo(kernel.AsSpan(((i * frames) + frame) * area));
            }
        }

        return WeightMatrix.Dense(ElementType.F32, rows, channels * frames * area, Bytes(kernel));
    }

    private static TensorBytes Bytes(float[] values) => TensorBytes.FromArray(MemoryMarshal.AsBytes(values.AsSpan()).ToArray());

    private static int[] Inverse(IReadOnlyList<int> order)
    {
        int[] inverse = new int[order.Count];
        for (int row = 0; row < inverse.Length; row++)
        {
            inverse[order[row]] = row;
        }

        return inverse;
    }

    /// <summary>Where a tensor is.</summary>
    /// <param name="File">The file.</param>
    /// <param name="Tensor">The tensor, or the one that it is a part of.</param>
    /// <param name="Whole">The shape of the one that it is a part of; null for a tensor of its own.</param>
    /// <param name="First">Elements of that one before it.</param>
    /// <param name="Order">See <see cref="MappedWeight"/>.</param>
    private sealed record Place(GgufFile File, GgufTensor Tensor, IReadOnlyList<long>? Whole = null, long First = 0, IReadOnlyList<int>? Order = null);
}

using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Text;
using Bitsmith.Models.Weights;

namespace Bitsmith.Quantization.Conversion;

/// <summary>A file that a model is read from.</summary>
/// <param name="Path">The file.</param>
/// <param name="Length">Its length when it was opened.</param>
internal sealed record SourceFile(string Path, long Length);

/// <summary>A model as the tensors and key/value pairs of a GGUF file, read from a Hugging Face folder or from a GGUF file. Weights stay where they are until rows are read.</summary>
internal sealed class GgufSource : IDisposable
{
    private readonly IDisposable files;

    private GgufSource(IDisposable files, string path, GgufMetadata metadata, IReadOnlyList<GgufOutput> tensors, IReadOnlyList<SourceFile> sources, IReadOnlyList<string> notes)
    {
        this.files = files;
        (Path, Metadata, Tensors, Files, Notes) = (path, metadata, tensors, sources, notes);
    }

    /// <summary>The folder or file.</summary>
    public string Path { get; }

    /// <summary>The key/value pairs that the file gets.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>llama.cpp's name of the architecture.</summary>
    public string Architecture => Metadata.Text("general.architecture");

    /// <summary>The tensors: as they are, or as conversion would write them.</summary>
    public IReadOnlyList<GgufOutput> Tensors { get; }

    /// <summary>The files with weights.</summary>
    public IReadOnlyList<SourceFile> Files { get; }

    /// <summary>What is left out, and what the source lacks.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>Opens a Hugging Face folder, or a GGUF file by any of its parts.</summary>
    /// <exception cref="CheckpointException">The source is broken, incomplete, or no model that can be converted.</exception>
    public static GgufSource Open(string path) => Directory.Exists(path) ? OpenFolder(path, GgufTensorType.BF16, mmproj: false) : OpenFile(path);

    /// <summary>Opens a Hugging Face folder: every tensor is where the file needs it, every other has a reason to be left out.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="type">The type of matrices.</param>
    /// <param name="mmproj">The vision tower instead of the language model.</param>
    /// <exception cref="CheckpointException">The source is broken, incomplete, or no model that can be converted.</exception>
    public static GgufSource OpenFolder(string folder, GgufTensorType type, bool mmproj)
    {
        ModelWeights weights = ModelWeights.OpenFolder(folder);
        try
        {
            DecoderConfig config = DecoderConfig.Read(weights.Config);
            string name = System.IO.Path.GetFileName(System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(folder)));
            GgufMetadata metadata = new(folder);
            List<string> notes = [];
            IReadOnlyList<GgufOutput> tensors = mmproj ? GgufVision.Create(config, weights, name, type, metadata) : Language(config, weights, name, type, metadata, notes);
            return new GgufSource(weights, folder, metadata, tensors, [.. weights.Files.Select(file => new SourceFile(file.Path, file.Length))], notes);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => files.Dispose();

    private static GgufSource OpenFile(string path)
    {
        GgufModel model = GgufModel.Open(path);
        try
        {
            GgufMetadata metadata = new(path);
            foreach ((string key, GgufValue value) in model.Metadata.Where(pair => pair.Key is not (GgufModel.SplitNumberKey or GgufModel.SplitCountKey or GgufModel.SplitTensorsKey)))
            {
                metadata.Add(key, value);
            }

            GgufOutput[] tensors = [.. model.Files.SelectMany(file => file.Header.Tensors.Select(tensor => new GgufOutput(new GgufTensorInfo(tensor.Name, tensor.Type, tensor.Shape), PackedSource.Create(file, tensor))))];
            return new GgufSource(model, path, metadata, tensors, [.. model.Files.Select(file => new SourceFile(file.Path, file.Length))], []);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static IReadOnlyList<GgufOutput> Language(DecoderConfig config, ModelWeights weights, string name, GgufTensorType type, GgufMetadata metadata, List<string> notes)
    {
        string architecture = GgufHyperparameters.ArchitectureOf(config.ModelType, weights.Path);
        int mtpLayers = weights.Has(WeightMap.MtpMark(config)) ? weights.Config.MtpLayers : 0;
        IReadOnlyList<GgufOutput> tensors = GgufTensorList.Create(config, weights, type, mtpLayers, out IReadOnlyList<string> leftOut);
        GgufHyperparameters.AddTo(config, architecture, name, type, mtpLayers, metadata);
        SamplingSettings.AddTo(weights.Path, metadata);
        notes.AddRange(GgufTokenizer.AddTo(weights.Path, weights.Config, config.VocabSize, architecture, metadata));
        if (mtpLayers < weights.Config.MtpLayers)
        {
            notes.Add($"config.json tells of {weights.Config.MtpLayers} layer(s) for multi-token prediction that the checkpoint does not hold: the file has none");
        }

        if (leftOut.Count > 0)
        {
            notes.Add($"{leftOut.Count} tensors are left out, which are no part of the language model ({leftOut[0]}, …){(config.MropeSection is null ? string.Empty : "; --mmproj writes the vision tower")}");
        }

        return tensors;
    }
}

using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Text;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Weights;

/// <summary>
/// The weights of a model by their Hugging Face names, in their stored form, from a Hugging Face folder or a GGUF file. What is asked for must exist with the shape that the config
/// implies; anything else is an error that names the tensor, what was found and what was expected.
/// </summary>
public abstract class ModelWeights : IDisposable
{
    /// <summary>config.json; of a GGUF file the one that its metadata stands for.</summary>
    public abstract ModelConfig Config { get; }

    /// <summary>The folder or file.</summary>
    public abstract string Path { get; }

    /// <summary>The files with weights, and their lengths when they were opened.</summary>
    public abstract IReadOnlyList<(string Path, long Length)> Files { get; }

    /// <summary>The names of all tensors, scales included.</summary>
    public abstract IReadOnlyCollection<string> Names { get; }

    /// <summary>Opens a model folder or a GGUF file (of a split one, any of its files); weights are mapped, not read.</summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="mmproj">The file with the vision tower that belongs to a GGUF file; null for none.</param>
    /// <exception cref="CheckpointException">It is no complete checkpoint.</exception>
    public static ModelWeights Open(string path, string? mmproj = null) => GgufFile.IsGguf(path)
        ? GgufWeights.Open(path, mmproj)
        : !System.IO.Path.Exists(path) ? throw new CheckpointException(path, "there is no such file or folder.")
        : mmproj is null ? OpenFolder(path) : throw new CheckpointException(path, $"is no GGUF file, but {mmproj} is to bring its vision tower. A Hugging Face folder has its own.");

    /// <summary>Opens a model folder.</summary>
    /// <exception cref="CheckpointException">The folder is no complete checkpoint.</exception>
    public static ModelWeights OpenFolder(string path) => new FolderWeights(CheckpointFolder.Open(path));

    /// <summary>The file with the tokenizer, for messages.</summary>
    public abstract string TokenizerPath { get; }

    /// <summary>Reads the model's tokenizer.</summary>
    /// <exception cref="CheckpointException">It is missing or broken, or has more tokens than the model.</exception>
    public Tokenizer ReadTokenizer()
    {
        Tokenizer tokenizer = LoadTokenizer();
        int vocabulary = DecoderConfig.Read(Config).VocabSize;
        return tokenizer.VocabularySize <= vocabulary
            ? tokenizer
            : throw new CheckpointException(
                TokenizerPath, $"the tokenizer has ids up to {tokenizer.VocabularySize - 1}, but vocab_size is {vocabulary}. The tokenizer belongs to another model.");
    }

    /// <summary>True where the checkpoint has a tensor of this name.</summary>
    public abstract bool Has(string tensor);

    /// <summary>The weight of a Linear module.</summary>
    /// <param name="name">The module's name, for example <c>model.layers.0.mlp.down_proj</c>.</param>
    /// <param name="rows">Out features expected.</param>
    /// <param name="columns">In features expected.</param>
    /// <exception cref="CheckpointException">It is missing, or has another shape or type.</exception>
    public abstract WeightMatrix Matrix(string name, int rows, int columns);

    /// <summary>How a module's inputs are quantized at run time, or null where they stay exact.</summary>
    /// <exception cref="CheckpointException">The scheme quantizes inputs in a way that cannot be run, or their global scale is missing.</exception>
    public abstract InputQuantization? InputScheme(string name, int columns);

    /// <summary>A convolution's kernel as a matrix: one row for each output channel. Kernels are stored unquantized.</summary>
    /// <param name="name">The module's name, for example <c>model.visual.patch_embed.proj</c>.</param>
    /// <param name="shape">The shape expected, output channels first.</param>
    /// <exception cref="CheckpointException">It is missing, or has another shape or type.</exception>
    public abstract WeightMatrix Kernel(string name, params ReadOnlySpan<long> shape);

    /// <summary>A small tensor (norm, bias), widened to binary32.</summary>
    /// <exception cref="CheckpointException">It is missing, or has another shape or type.</exception>
    public abstract float[] Vector(string tensor, params ReadOnlySpan<long> shape);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The tokenizer as its file has it.</summary>
    private protected abstract Tokenizer LoadTokenizer();

    /// <summary>Closes the files.</summary>
    protected abstract void Dispose(bool disposing);
}

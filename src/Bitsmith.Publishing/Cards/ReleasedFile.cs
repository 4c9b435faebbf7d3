using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Evaluation.Comparison;
using Bitsmith.Quantization.Manifests;

namespace Bitsmith.Publishing.Cards;

/// <summary>A model of a release: a folder of safetensors or a GGUF file, with what its manifest says of how it was made.</summary>
/// <param name="Path">The folder or file; of a split one the first.</param>
/// <param name="Summary">What is in it.</param>
/// <param name="Fingerprint">Its content, as a report names it.</param>
/// <param name="Folder">The manifest of a folder, or null.</param>
/// <param name="Gguf">The manifest of a GGUF file, or null.</param>
internal sealed record ReleasedFile(string Path, CheckpointSummary Summary, string Fingerprint, Manifest? Folder, GgufManifest? Gguf)
{
    private const string FirstOfSplit = "-00001-of-";

    /// <summary>True for a GGUF file.</summary>
    public bool IsGguf => !Directory.Exists(Path);

    /// <summary>The name in the repository.</summary>
    public string Name => System.IO.Path.GetFileName(System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(Path)));

    /// <summary>True for a vision tower that belongs to the language models beside it.</summary>
    public bool IsProjector => Summary.ModelType == "clip";

    /// <summary>Bitsmith's version when it was made; null where no manifest says it.</summary>
    public string? Version => Folder?.Version ?? Gguf?.Version;

    /// <summary>Finds the models of a result.</summary>
    /// <param name="output">A quantized folder, a GGUF file, or a folder of GGUF files.</param>
    /// <exception cref="CheckpointException">There is none, or one is broken.</exception>
    public static IReadOnlyList<ReleasedFile> Find(string output)
    {
        if (!Directory.Exists(output))
        {
            return [Open(output)];
        }

        string[] files = [.. Directory.EnumerateFiles(output, "*.gguf").Where(IsFirst).Order(StringComparer.Ordinal)];
        return files.Length == 0 ? [Open(output)] : [.. files.Select(Open)];

        static bool IsFirst(string file) => !file.Contains("-of-", StringComparison.Ordinal) || file.Contains(FirstOfSplit, StringComparison.Ordinal);
    }

    /// <summary>Value of a GGUF key as text, or null.</summary>
    public string? Metadata(string key) => Summary.Metadata.FirstOrDefault(pair => pair.Key == key)?.Value.ToString();

    private static ReleasedFile Open(string path)
    {
        CheckpointSummary summary = CheckpointSummary.Create(path);
        bool isFolder = Directory.Exists(path);
        string manifest = isFolder ? System.IO.Path.Combine(path, Manifest.FileName) : GgufManifest.PathFor(path);
        bool known = File.Exists(manifest);
        return new ReleasedFile(
            path, summary, ModelFingerprint.Of(path, summary).Content, known && isFolder ? ManifestFile.Load(manifest) : null, known && !isFolder ? ManifestFile.LoadGguf(manifest) : null);
    }
}

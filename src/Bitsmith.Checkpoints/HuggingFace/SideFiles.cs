using System.IO.Enumeration;
using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Checkpoints.HuggingFace;

/// <summary>The files of a model folder besides its weights: tokenizer, templates, processors, licence, model card and whatever else lies there.</summary>
public static class SideFiles
{
    // Weights in other formats: copies of what the safetensors hold, which would double the result's size.
    private static readonly string[] OtherWeights = [".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack", ".ot", ".tflite"];

    private static readonly EnumerationOptions Recursive = new() { RecurseSubdirectories = true, AttributesToSkip = 0, IgnoreInaccessible = false };

    /// <summary>Lists side files.</summary>
    /// <param name="folder">The model folder, opened.</param>
    /// <returns>
    /// The files that a derived checkpoint carries along, and those that it leaves out (weights in other formats, safetensors that are no
    /// part of the model, linked folders), as paths relative to the folder with forward slashes, sorted.
    /// </returns>
    public static (IReadOnlyList<string> Carried, IReadOnlyList<string> LeftOut) List(CheckpointFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        HashSet<string> weights = [.. folder.Files.Select(file => Path.GetFileName(file.Path))];
        List<string> carried = [], leftOut = [];
        FileSystemEnumerable<string> files = new(folder.Path, (ref FileSystemEntry entry) => entry.ToFullPath(), Recursive)
        {
            // Linked files are the hub cache's way to store them; a linked folder could lead round in a circle, and is only named.
            ShouldIncludePredicate = (ref FileSystemEntry entry) => !entry.IsDirectory || entry.Attributes.HasFlag(FileAttributes.ReparsePoint),
            ShouldRecursePredicate = (ref FileSystemEntry entry) => !entry.Attributes.HasFlag(FileAttributes.ReparsePoint),
        };
        foreach (string file in files)
        {
            string relative = Path.GetRelativePath(folder.Path, file).Replace('\\', '/');
            string[] parts = relative.Split('/');
            if (relative == Sharding.IndexFileName || weights.Contains(relative) || parts[0] is ".git" or ".cache")
            {
                continue;
            }

            bool left = OtherWeights.Contains(Path.GetExtension(relative)) || relative.EndsWith(".safetensors", StringComparison.Ordinal) || Directory.Exists(file);
            (left ? leftOut : carried).Add(relative);
        }

        carried.Sort(StringComparer.Ordinal);
        leftOut.Sort(StringComparer.Ordinal);
        return (carried, leftOut);
    }
}

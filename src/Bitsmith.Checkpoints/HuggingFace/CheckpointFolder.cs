using System.Text.Json;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Checkpoints.HuggingFace;

/// <summary>
/// A model folder as the Hugging Face hub stores it: config.json, safetensors weights (one file, or shards with an index) and side files.
/// Opening reads headers only.
/// </summary>
public sealed class CheckpointFolder : IDisposable
{
    private CheckpointFolder(string path, ModelConfig config, IReadOnlyList<SafetensorsFile> files)
    {
        Path = path;
        Config = config;
        Files = files;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>config.json.</summary>
    public ModelConfig Config { get; }

    /// <summary>The weight files, sorted by name.</summary>
    public IReadOnlyList<SafetensorsFile> Files { get; }

    /// <summary>All tensors in the order of files and of data within them.</summary>
    public IEnumerable<StoredTensor> Tensors => Files.SelectMany(file => file.Header.Tensors);

    /// <summary>Opens a folder and checks that index and files agree.</summary>
    /// <exception cref="CheckpointException">The folder is no complete safetensors checkpoint.</exception>
    public static CheckpointFolder Open(string path)
    {
        if (!Directory.Exists(path))
        {
            throw new CheckpointException(path, File.Exists(path)
                ? "is a file; a Hugging Face model folder was expected."
                : "there is no such folder.");
        }

        ModelConfig config = ModelConfig.Load(System.IO.Path.Combine(path, ModelConfig.FileName));
        List<SafetensorsFile> files = [];
        try
        {
            Dictionary<string, string>? index = ReadIndex(path, out IReadOnlyList<string> names);
            foreach (string name in names)
            {
                files.Add(SafetensorsFile.Open(System.IO.Path.Combine(path, name)));
            }

            CheckNames(path, files, index);
            return new CheckpointFolder(path, config, files);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafetensorsFile file in Files)
        {
            file.Dispose();
        }
    }

    private static Dictionary<string, string>? ReadIndex(string path, out IReadOnlyList<string> fileNames)
    {
        string indexPath = System.IO.Path.Combine(path, Sharding.IndexFileName);
        string[] present = [.. Directory.EnumerateFiles(path, "*.safetensors").Select(file => System.IO.Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        if (!File.Exists(indexPath))
        {
            fileNames = present switch
            {
                [string only] => [only],
                _ when present.Contains(Sharding.SingleFileName) => [Sharding.SingleFileName],
                [] => throw new CheckpointException(path, "holds no .safetensors file. Bitsmith reads safetensors checkpoints; convert other weight files first."),
                _ => throw new CheckpointException(path, $"holds {present.Length} .safetensors files but no {Sharding.IndexFileName}. Download the index, or leave only the model's file."),
            };
            return null;
        }

        Dictionary<string, string> map = new(StringComparer.Ordinal);
        JsonElement? weights = JsonText.Load(indexPath).Get("weight_map");
        if (weights is not { ValueKind: JsonValueKind.Object })
        {
            throw new CheckpointException(indexPath, "has no object 'weight_map'. Download the index again.");
        }

        foreach (JsonProperty entry in weights.Value.EnumerateObject())
        {
            string? file = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString() : null;
            if (string.IsNullOrEmpty(file) || file.AsSpan().ContainsAny('/', '\\', '\0') || !file.EndsWith(".safetensors", StringComparison.Ordinal))
            {
                throw new CheckpointException(indexPath, $"weight_map maps '{entry.Name}' to {entry.Value.GetRawText()}; expected the name of a .safetensors file in the same folder.");
            }

            map.Add(entry.Name, file);
        }

        fileNames = [.. map.Values.Distinct().Order(StringComparer.Ordinal)];
        string[] missing = [.. fileNames.Except(present)];
        if (missing.Length > 0)
        {
            throw new CheckpointException(indexPath, $"names {missing.Length} file(s) that the folder lacks, the first being {missing[0]}. Download the rest.");
        }

        return present.Except(fileNames).Contains(Sharding.SingleFileName)
            ? throw new CheckpointException(path, $"holds {Sharding.SingleFileName} and an index that does not name it: which of them is the model? Remove one.")
            : map;
    }

    private static void CheckNames(string path, List<SafetensorsFile> files, Dictionary<string, string>? index)
    {
        Dictionary<string, string> found = new(StringComparer.Ordinal);
        foreach (SafetensorsFile file in files)
        {
            string fileName = System.IO.Path.GetFileName(file.Path);
            foreach (StoredTensor tensor in file.Header.Tensors)
            {
                if (!found.TryAdd(tensor.Name, fileName))
                {
                    throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is also in {found[tensor.Name]}. One of the files does not belong to this model.");
                }

                if (index is not null && index.GetValueOrDefault(tensor.Name) != fileName)
                {
                    throw new CheckpointException(file.Path, $"holds tensor '{tensor.Name}', which {Sharding.IndexFileName} {(index.TryGetValue(tensor.Name, out string? other) ? $"places in {other}" : "does not list")}. Download the index and the file from the same revision.");
                }
            }
        }

        string? absent = index?.Keys.FirstOrDefault(name => !found.ContainsKey(name));
        if (absent is not null)
        {
            throw new CheckpointException(System.IO.Path.Combine(path, Sharding.IndexFileName), $"places tensor '{absent}' in {index![absent]}, which does not hold it. Download the index and the file from the same revision.");
        }

        if (found.Count == 0)
        {
            throw new CheckpointException(path, "its weight files hold no tensor.");
        }
    }
}

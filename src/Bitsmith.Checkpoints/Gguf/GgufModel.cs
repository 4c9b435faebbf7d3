using System.Globalization;
using System.Text.RegularExpressions;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>A model in GGUF form: one file, or the files <c>NAME-00001-of-0000N.gguf</c> of a split one.</summary>
public sealed partial class GgufModel : IDisposable
{
    /// <summary>The key of a file's number in a split model, from 0.</summary>
    public const string SplitNumberKey = "split.no";

    /// <summary>The key of the number of files.</summary>
    public const string SplitCountKey = "split.count";

    /// <summary>The key of the number of tensors in all files.</summary>
    public const string SplitTensorsKey = "split.tensors.count";

    private readonly Dictionary<string, (GgufFile File, GgufTensor Tensor)> places = new(StringComparer.Ordinal);

    private GgufModel(IReadOnlyList<GgufFile> files) => Files = files;

    /// <summary>The files in their order.</summary>
    public IReadOnlyList<GgufFile> Files { get; }

    /// <summary>The model's key/value pairs: those of the first file.</summary>
    public GgufMetadata Metadata => Files[0].Header.Metadata;

    /// <summary>All tensors in the order of files and of data within them.</summary>
    public IEnumerable<GgufTensor> Tensors => Files.SelectMany(file => file.Header.Tensors);

    /// <summary>The name of a file of a split model.</summary>
    /// <param name="path">The name without a number, <c>NAME.gguf</c>.</param>
    /// <param name="index">The file's number from 0.</param>
    /// <param name="count">The number of files.</param>
    public static string SplitPath(string path, int index, int count)
    {
        ArgumentNullException.ThrowIfNull(path);
        return $"{(path.EndsWith(".gguf", StringComparison.Ordinal) ? path[..^".gguf".Length] : path)}-{index + 1:D5}-of-{count:D5}.gguf";
    }

    /// <summary>Opens a model by its only file, or by any file of a split one.</summary>
    /// <exception cref="CheckpointException">A file is missing or broken, or the files do not belong together.</exception>
    public static GgufModel Open(string path)
    {
        List<GgufFile> files = [GgufFile.Open(path)];
        try
        {
            long count = files[0].Header.Metadata.Integer(SplitCountKey, 1);
            if (count > 1)
            {
                string name = SplitName().Match(path) is { Success: true } match && long.Parse(match.Groups["count"].Value, CultureInfo.InvariantCulture) == count
                    ? match.Groups["name"].Value
                    : throw new CheckpointException(path, $"key '{SplitCountKey}' is {count}: the file is one of {count}, but is not named NAME-00001-of-{count:D5}.gguf. Give the files their names back.");
                files[0].Dispose();
                files.Clear();
                for (int i = 0; i < count; i++)
                {
                    files.Add(OpenPart(SplitPath(name, i, (int)count), i, count));
                }
            }

            GgufModel model = new(files);
            model.Index(count);
            return model;
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    /// <summary>A tensor by its name and the file that holds it, or null.</summary>
    public (GgufFile File, GgufTensor Tensor)? Find(string tensor) => places.TryGetValue(tensor, out var place) ? place : null;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (GgufFile file in Files)
        {
            file.Dispose();
        }
    }

    [GeneratedRegex(@"^(?<name>.*)-[0-9]{5}-of-(?<count>[0-9]{5})\.gguf$", RegexOptions.Singleline)]
    private static partial Regex SplitName();

    private static GgufFile OpenPart(string path, int index, long count)
    {
        GgufFile file = GgufFile.Open(path);
        try
        {
            GgufMetadata metadata = file.Header.Metadata;
            (long number, long all) = (metadata.Integer(SplitNumberKey), metadata.Integer(SplitCountKey));
            return (number, all) == (index, count)
                ? file
                : throw new CheckpointException(path, $"says that it is file {number} (from 0) of {all}; by its name it is file {index} of {count}. Give the files their names back.");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void Index(long count)
    {
        foreach (GgufFile file in Files)
        {
            foreach (GgufTensor tensor in file.Header.Tensors)
            {
                if (!places.TryAdd(tensor.Name, (file, tensor)))
                {
                    throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is also in {Path.GetFileName(places[tensor.Name].File.Path)}. One of the files does not belong to this model.");
                }
            }
        }

        if (count > 1 && Metadata.Integer(SplitTensorsKey) is long expected && expected != places.Count)
        {
            throw new CheckpointException(Files[0].Path, $"key '{SplitTensorsKey}' is {expected}, but the {count} files hold {places.Count} tensors. The files do not belong together; download them again.");
        }
    }
}

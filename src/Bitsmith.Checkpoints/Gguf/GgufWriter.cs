using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>
/// Writes a model as GGUF, one file or several, front to back: the bytes of the tensors are appended in their order, never held together. Files are written
/// beside their final names and renamed by <see cref="Complete"/> when all of them are whole.
/// </summary>
public sealed class GgufWriter : IDisposable
{
    private const string Unfinished = ".new";

    private readonly IReadOnlyList<(string Path, GgufLayout Layout)> files;
    private SafeFileHandle? handle;
    private int file, tensor;
    private long written;

    /// <summary>Lays the model out and creates the first file.</summary>
    /// <param name="path">The file to write; of a split model, the name without numbers.</param>
    /// <param name="metadata">Key/value pairs; of a split model they stand in the first file.</param>
    /// <param name="tensors">The tensors in the order in which they are appended.</param>
    /// <param name="maxFileBytes">Tensor bytes of a file at most, unless a single tensor has more; null for one file.</param>
    /// <exception cref="ArgumentException">The tensors or the metadata cannot stand in a GGUF file.</exception>
    /// <exception cref="IOException">The system refused.</exception>
    public GgufWriter(string path, GgufMetadata metadata, IReadOnlyList<GgufTensorInfo> tensors, long? maxFileBytes = null)
    {
        files = Layouts(path, metadata, tensors, maxFileBytes);
        try
        {
            Open();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The files that the model will have.</summary>
    public IReadOnlyList<string> Paths => [.. files.Select(file => file.Path)];

    /// <summary>Length of all files together, in bytes.</summary>
    public long Length => files.Sum(file => file.Layout.Length);

    /// <summary>The files that a model takes, each with its header and the places of its tensors.</summary>
    /// <param name="path">The file; of a split model, the name without numbers.</param>
    /// <param name="metadata">Key/value pairs; of a split model they stand in the first file.</param>
    /// <param name="tensors">The tensors in their order.</param>
    /// <param name="maxFileBytes">Tensor bytes of a file at most, unless a single tensor has more; null for one file.</param>
    /// <exception cref="ArgumentException">The tensors or the metadata cannot stand in a GGUF file.</exception>
    public static IReadOnlyList<(string Path, GgufLayout Layout)> Layouts(string path, GgufMetadata metadata, IReadOnlyList<GgufTensorInfo> tensors, long? maxFileBytes = null)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        ArgumentNullException.ThrowIfNull(tensors);
        IReadOnlyList<Safetensors.Shard<GgufTensorInfo>> shards = maxFileBytes is long most && tensors.Count > 0
            ? Safetensors.Sharding.Split(tensors, tensor => tensor.Bytes, most)
            : [new(path, tensors)];
        if (shards.Count == 1)
        {
            return [(path, GgufLayout.Create(metadata, tensors))];
        }

        List<(string, GgufLayout)> files = [];
        for (int i = 0; i < shards.Count; i++)
        {
            GgufMetadata own = new(path);
            foreach ((string key, GgufValue value) in metadata.Where(_ => i == 0))
            {
                own.Add(key, value);
            }

            own.Add(GgufModel.SplitNumberKey, checked((ushort)i));
            own.Add(GgufModel.SplitCountKey, checked((ushort)shards.Count));
            own.Add(GgufModel.SplitTensorsKey, tensors.Count);
            files.Add((GgufModel.SplitPath(path, i, shards.Count), GgufLayout.Create(own, shards[i].Units)));
        }

        return files;
    }

    /// <summary>Appends bytes to the tensor at work; when it is full, the next one's follow.</summary>
    /// <exception cref="InvalidOperationException">They reach over the end of the tensor.</exception>
    /// <exception cref="IOException">The system refused.</exception>
    public void Append(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        SkipFull();
        GgufTensor? at = tensor < files[file].Layout.Tensors.Count ? files[file].Layout.Tensors[tensor] : null;
        if (at is null || data.Length > at.Bytes - written)
        {
            throw new InvalidOperationException($"{data.Length} bytes for {(at is null ? "no tensor" : $"'{at.Name}', which takes {at.Bytes} and has {written}")}");
        }

        RandomAccess.Write(handle!, data, at.Offset + written);
        written += data.Length;
    }

    /// <summary>Flushes the files to disk and gives them their names.</summary>
    /// <exception cref="InvalidOperationException">Not every tensor has all its bytes.</exception>
    /// <exception cref="IOException">The system refused.</exception>
    public void Complete()
    {
        SkipFull();
        if (file != files.Count - 1 || tensor != files[file].Layout.Tensors.Count)
        {
            throw new InvalidOperationException($"'{files[file].Layout.Tensors[tensor].Name}' has {written} of its bytes");
        }

        Close();
        foreach ((string path, _) in files)
        {
            File.Move(path + Unfinished, path, overwrite: true);
        }
    }

    /// <summary>Closes the files; those not completed are removed.</summary>
    public void Dispose()
    {
        handle?.Dispose();
        handle = null;
        foreach ((string path, _) in files)
        {
            File.Delete(path + Unfinished);
        }
    }

    private void SkipFull()
    {
        while (tensor < files[file].Layout.Tensors.Count ? written == files[file].Layout.Tensors[tensor].Bytes : file < files.Count - 1)
        {
            if (tensor < files[file].Layout.Tensors.Count)
            {
                tensor++;
            }
            else
            {
                Close();
                (file, tensor) = (file + 1, 0);
                Open();
            }

            written = 0;
        }
    }

    // Reserving the length makes a full disk show before the work, and fills the gaps between tensors with zeros.
    private void Open()
    {
        (string path, GgufLayout layout) = files[file];
        handle = File.OpenHandle(path + Unfinished, FileMode.Create, FileAccess.Write, FileShare.Read, FileOptions.None, layout.Length);
        RandomAccess.Write(handle, layout.HeaderBytes.Span, 0);
        RandomAccess.SetLength(handle, layout.Length);
    }

    private void Close()
    {
        RandomAccess.FlushToDisk(handle!);
        handle!.Dispose();
        handle = null;
    }
}

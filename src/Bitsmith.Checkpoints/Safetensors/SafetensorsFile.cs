using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>
/// A safetensors file, open for reading. Opening reads and checks the header only. Data is reached in two ways: <see cref="Read"/> copies through the
/// file interface and reports a file that shrinks meanwhile as an error; <see cref="View"/> gives memory-mapped bytes without a copy.
/// </summary>
/// <remarks>Safe for concurrent reads. A view must not be used after <see cref="Dispose"/>.</remarks>
public sealed class SafetensorsFile : IDisposable
{
    private readonly MappedFile file;

    private SafetensorsFile(MappedFile file, SafetensorsHeader header)
    {
        this.file = file;
        Header = header;
    }

    /// <summary>The file.</summary>
    public string Path => file.Path;

    /// <summary>Length of the file in bytes when it was opened.</summary>
    public long Length => file.Length;

    /// <summary>What is in it.</summary>
    public SafetensorsHeader Header { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="CheckpointException">The file is missing, cannot be read, or breaks a rule of the format.</exception>
    public static SafetensorsFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            byte[] prefix = new byte[Math.Min(SafetensorsHeader.PrefixBytes, file.Length)];
            file.Read(0, prefix);
            byte[] json = new byte[SafetensorsHeader.CheckPrefix(prefix, file.Length, path)];
            file.Read(SafetensorsHeader.PrefixBytes, json);
            return new SafetensorsFile(file, SafetensorsHeader.Parse(json, file.Length, path));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Copies bytes from the file, counted from its start.</summary>
    /// <exception cref="CheckpointException">The file has become shorter, or reading failed.</exception>
    public void Read(long offset, Span<byte> target) => file.Read(offset, target);

    /// <summary>The bytes of a tensor, or of a part of it, mapped into memory.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="first">First byte, counted from the tensor's start.</param>
    /// <param name="length">Bytes; the rest of the tensor when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the tensor.</exception>
    public ReadOnlySpan<byte> View(StoredTensor tensor, long first = 0, int? length = null)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return file.View(tensor.Offset, tensor.Bytes, first, length);
    }

    /// <summary>
    /// Lets the system take back the memory that mapped bytes of a tensor occupy; a later view reads the file again. Whole pages only; nothing happens where the system has no such call.
    /// </summary>
    public void Release(StoredTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        file.Release(tensor.Offset, tensor.Bytes);
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}

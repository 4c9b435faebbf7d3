using Bitsmith.Checkpoints.Files;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>A GGUF file, open for reading. Opening reads and checks the header only; tensor data is mapped into memory.</summary>
/// <remarks>Safe for concurrent reads. Views and <see cref="TensorBytes"/> must not be used after <see cref="Dispose"/>.</remarks>
public sealed class GgufFile : IDisposable
{
    private readonly MappedFile file;

    private GgufFile(MappedFile file, GgufHeader header)
    {
        this.file = file;
        Header = header;
    }

    /// <summary>The file.</summary>
    public string Path => file.Path;

    /// <summary>Length of the file in bytes when it was opened.</summary>
    public long Length => file.Length;

    /// <summary>What is in it.</summary>
    public GgufHeader Header { get; }

    /// <summary>True where a file exists and starts as GGUF files do.</summary>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public static bool IsGguf(string path)
    {
        if (!File.Exists(path))
        {
            return false;
        }

        using MappedFile file = MappedFile.Open(path);
        byte[] magic = new byte[Math.Min(GgufHeader.Magic.Length, file.Length)];
        file.Read(0, magic);
        return GgufHeader.Magic.SequenceEqual(magic);
    }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="CheckpointException">The file is missing, cannot be read, or breaks a rule of the format.</exception>
    public static GgufFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            return new GgufFile(file, GgufHeader.Read(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The bytes of a tensor, or of a part of it, mapped into memory.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="first">First byte, counted from the tensor's start.</param>
    /// <param name="length">Bytes; the rest of the tensor when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the tensor.</exception>
    public ReadOnlySpan<byte> View(GgufTensor tensor, long first = 0, int? length = null)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return file.View(tensor.Offset, tensor.Bytes, first, length);
    }

    /// <summary>The bytes of a tensor, or of a part of it, as weights take them; valid until the file is disposed.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="first">First byte, counted from the tensor's start.</param>
    /// <param name="length">Bytes; the rest of the tensor when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the tensor.</exception>
    public TensorBytes Bytes(GgufTensor tensor, long first = 0, long? length = null)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, tensor.Bytes);
        long bytes = length ?? tensor.Bytes - first;
        ArgumentOutOfRangeException.ThrowIfNegative(bytes, nameof(length));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, tensor.Bytes - first, nameof(length));
        return new Mapped(file, tensor.Offset + first, bytes);
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private sealed class Mapped(MappedFile file, long offset, long bytes) : TensorBytes
    {
        public override long Length => bytes;

        public override ReadOnlySpan<byte> Span(long first, int length) => file.View(offset, bytes, first, length);

        public override void Read(long first, Span<byte> target)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(first);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(first, bytes - target.Length);
            file.Read(offset + first, target);
        }

        public override void Release() => file.Release(offset, bytes);
    }
}

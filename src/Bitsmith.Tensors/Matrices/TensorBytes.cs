namespace Bitsmith.Tensors.Matrices;

/// <summary>The bytes of a tensor, wherever they are: in an array, or mapped from a file. Safe for concurrent reads.</summary>
public abstract class TensorBytes
{
    /// <summary>Number of bytes.</summary>
    public abstract long Length { get; }

    /// <summary>A part of the bytes.</summary>
    /// <param name="first">First byte.</param>
    /// <param name="length">Number of bytes.</param>
    public abstract ReadOnlySpan<byte> Span(long first, int length);

    /// <summary>Copies a part of the bytes; of a large file read once from front to back, that is faster than <see cref="Span"/>, which maps page by page.</summary>
    /// <param name="first">First byte.</param>
    /// <param name="target">Receives the bytes.</param>
    public virtual void Read(long first, Span<byte> target) => Span(first, target.Length).CopyTo(target);

    /// <summary>Lets the system take the memory back where the bytes can be read again; does nothing otherwise.</summary>
    public virtual void Release()
    {
    }

    /// <summary>Bytes in an array.</summary>
    public static TensorBytes FromArray(byte[] bytes)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        return new ArrayBytes(bytes);
    }

    private sealed class ArrayBytes(byte[] bytes) : TensorBytes
    {
        public override long Length => bytes.LongLength;

        public override ReadOnlySpan<byte> Span(long first, int length) => bytes.AsSpan(checked((int)first), length);
    }
}

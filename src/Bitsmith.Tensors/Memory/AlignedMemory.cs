using System.Runtime.InteropServices;

namespace Bitsmith.Tensors.Memory;

/// <summary>Native memory aligned to 64 bytes, with one owner; not cleared. Grows on demand, then without its content.</summary>
public sealed unsafe class AlignedMemory : IDisposable
{
    private byte* start;
    private nuint capacity;

    /// <summary>Frees what the owner forgot.</summary>
    ~AlignedMemory() => Free();

    /// <summary>First byte; valid until the next <see cref="Require"/> or <see cref="Dispose"/>.</summary>
    public byte* Start => start;

    /// <summary>Makes room for at least so many bytes.</summary>
    /// <exception cref="OutOfMemoryException">There is not so much.</exception>
    public byte* Require(long bytes)
    {
        if ((ulong)bytes > capacity)
        {
            Free();
            start = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
            capacity = (nuint)bytes;
        }

        return start;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(start);
        start = null;
        capacity = 0;
    }
}

using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>
/// A safetensors file, open for reading. Opening reads and checks the header only. Data is reached in two ways: <see cref="Read"/> copies through the
/// file interface and reports a file that shrinks meanwhile as an error; <see cref="View"/> gives memory-mapped bytes without a copy.
/// </summary>
/// <remarks>Safe for concurrent reads. A view must not be used after <see cref="Dispose"/>.</remarks>
public sealed partial class SafetensorsFile : IDisposable
{
    private const int NotNeeded = 4; // MADV_DONTNEED

    private readonly SafeFileHandle handle;
    private readonly Lock mapping = new();
    private MemoryMappedFile? map;
    private MemoryMappedViewAccessor? accessor;
    private unsafe byte* start;

    private SafetensorsFile(string path, SafeFileHandle handle, long length, SafetensorsHeader header)
    {
        Path = path;
        this.handle = handle;
        Length = length;
        Header = header;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Length of the file in bytes when it was opened.</summary>
    public long Length { get; }

    /// <summary>What is in it.</summary>
    public SafetensorsHeader Header { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="CheckpointException">The file is missing, cannot be read, or breaks a rule of the format.</exception>
    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path);
            long length = RandomAccess.GetLength(handle);
            byte[] prefix = new byte[SafetensorsHeader.PrefixBytes];
            int read = RandomAccess.Read(handle, prefix, 0);
            byte[] json = new byte[SafetensorsHeader.CheckPrefix(prefix.AsSpan(0, read), length, path)];
            ReadExactly(handle, path, SafetensorsHeader.PrefixBytes, json);
            return new SafetensorsFile(path, handle, length, SafetensorsHeader.Parse(json, length, path));
        }
        catch (Exception problem)
        {
            handle?.Dispose();
            if (problem is IOException or UnauthorizedAccessException)
            {
                throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
            }

            throw;
        }
    }

    /// <summary>Copies bytes from the file, counted from its start.</summary>
    /// <exception cref="CheckpointException">The file has become shorter, or reading failed.</exception>
    public void Read(long offset, Span<byte> target) => ReadExactly(handle, Path, offset, target);

    /// <summary>The bytes of a tensor, or of a part of it, mapped into memory.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="first">First byte, counted from the tensor's start.</param>
    /// <param name="length">Bytes; the rest of the tensor when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the tensor.</exception>
    public unsafe ReadOnlySpan<byte> View(StoredTensor tensor, long first = 0, int? length = null)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, tensor.Bytes);
        long bytes = length ?? tensor.Bytes - first;
        ArgumentOutOfRangeException.ThrowIfNegative(bytes, nameof(length));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Math.Min(tensor.Bytes - first, int.MaxValue), nameof(length));
        ArgumentOutOfRangeException.ThrowIfNegative(tensor.Offset, nameof(tensor));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tensor.Bytes, Length - tensor.Offset, nameof(tensor));
        return new ReadOnlySpan<byte>(Start() + tensor.Offset + first, (int)bytes);
    }

    /// <summary>
    /// Lets the system take back the memory that mapped bytes of a tensor occupy; a later view reads the file again. Whole pages only; nothing happens where the system has no such call.
    /// </summary>
    public unsafe void Release(StoredTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (start is null || !(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()))
        {
            return;
        }

        nuint page = (nuint)Environment.SystemPageSize;
        nuint first = ((nuint)(start + tensor.Offset) + page - 1) / page * page, end = (nuint)(start + tensor.Offset + tensor.Bytes) / page * page;
        if (end > first)
        {
            _ = Advise(first, end - first, NotNeeded); // advice: if it is refused, the pages stay
        }
    }

    /// <inheritdoc/>
    public unsafe void Dispose()
    {
        if (start is not null)
        {
            accessor!.SafeMemoryMappedViewHandle.ReleasePointer();
            start = null;
        }

        accessor?.Dispose();
        map?.Dispose();
        handle.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nuint address, nuint length, int advice);

    private unsafe byte* Start()
    {
        if (start is not null)
        {
            return start;
        }

        lock (mapping)
        {
            if (start is null)
            {
                map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
                accessor = map.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
                byte* pointer = null;
                accessor.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
                Thread.MemoryBarrier(); // a thread that sees the pointer sees the mapping behind it
                start = pointer + accessor.PointerOffset;
            }

            return start;
        }
    }

    private static void ReadExactly(SafeFileHandle handle, string path, long offset, Span<byte> target)
    {
        try
        {
            while (!target.IsEmpty)
            {
                int read = RandomAccess.Read(handle, target, offset);
                if (read == 0)
                {
                    throw new CheckpointException(path, $"ends at byte {offset}, {target.Length} bytes earlier than its header says. It was cut off while being read; restore it and run again.");
                }

                target = target[read..];
                offset += read;
            }
        }
        catch (IOException problem)
        {
            throw new CheckpointException(path, $"reading {target.Length} bytes at {offset} failed: {problem.Message}", problem);
        }
    }
}

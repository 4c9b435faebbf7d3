using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Checkpoints.Files;

/// <summary>
/// A file open for reading, in two ways: <see cref="Read"/> copies through the file interface and reports a file that shrinks meanwhile as an error;
/// <see cref="View"/> gives memory-mapped bytes without a copy. Safe for concurrent reads; a view must not be used after <see cref="Dispose"/>.
/// </summary>
internal sealed partial class MappedFile : IDisposable
{
    private const int NotNeeded = 4; // MADV_DONTNEED

    private readonly SafeFileHandle handle;
    private readonly Lock mapping = new();
    private MemoryMappedFile? map;
    private MemoryMappedViewAccessor? accessor;
    private unsafe byte* start;

    private MappedFile(string path, SafeFileHandle handle, long length)
    {
        Path = path;
        this.handle = handle;
        Length = length;
    }

    public string Path { get; }

    /// <summary>Length in bytes when it was opened.</summary>
    public long Length { get; }

    /// <summary>Opens a file.</summary>
    /// <exception cref="CheckpointException">The file is missing or cannot be read.</exception>
    public static MappedFile Open(string path)
    {
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path);
            return new MappedFile(path, handle, RandomAccess.GetLength(handle));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            handle?.Dispose();
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
    }

    /// <summary>Copies bytes, counted from the file's start.</summary>
    /// <exception cref="CheckpointException">The file has become shorter, or reading failed.</exception>
    public void Read(long offset, Span<byte> target)
    {
        try
        {
            while (!target.IsEmpty)
            {
                int read = RandomAccess.Read(handle, target, offset);
                if (read == 0)
                {
                    throw new CheckpointException(Path, $"ends at byte {offset}, {target.Length} bytes earlier than its header says. It was cut off while being read; restore it and run again.");
                }

                target = target[read..];
                offset += read;
            }
        }
        catch (IOException problem)
        {
            throw new CheckpointException(Path, $"reading {target.Length} bytes at {offset} failed: {problem.Message}", problem);
        }
    }

    /// <summary>Bytes of a part of the file (a tensor), mapped into memory.</summary>
    /// <param name="offset">Where the part starts, counted from the file's start.</param>
    /// <param name="bytes">Length of the part.</param>
    /// <param name="first">First byte wanted, counted from the part's start.</param>
    /// <param name="length">Bytes wanted; the rest of the part when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">What is wanted is not inside the part, or the part not inside the file.</exception>
    public unsafe ReadOnlySpan<byte> View(long offset, long bytes, long first = 0, int? length = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, bytes);
        long wanted = length ?? bytes - first;
        ArgumentOutOfRangeException.ThrowIfNegative(wanted, nameof(length));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wanted, Math.Min(bytes - first, int.MaxValue), nameof(length));
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Length - offset);
        return wanted == 0 ? [] : new ReadOnlySpan<byte>(Start() + offset + first, (int)wanted);
    }

    /// <summary>
    /// Lets the system take back the memory that mapped bytes occupy; a later view reads the file again. Whole pages only; nothing happens where the system has no such call.
    /// </summary>
    public unsafe void Release(long offset, long bytes)
    {
        if (start is null || !(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()))
        {
            return;
        }

        nuint page = (nuint)Environment.SystemPageSize;
        nuint first = ((nuint)(start + offset) + page - 1) / page * page, end = (nuint)(start + offset + bytes) / page * page;
        if (end > first)
        {
            _ = Advise(first, end - first, NotNeeded); // advice: if it is refused, the pages stay
        }
    }

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
}

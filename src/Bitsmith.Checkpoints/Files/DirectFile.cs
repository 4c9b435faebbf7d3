using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Checkpoints.Files;

/// <summary>
/// A large file that is written front to back and then flushed. Where the system can (Linux, most file systems), whole units of 4 KiB go from memory to the disk without a copy in
/// the page cache: that costs a tenth of the processor time, evicts nothing that others read, and leaves nothing for the flush to wait for. What is not aligned, and everything on
/// other systems, is written as usual; the bytes are the same.
/// </summary>
/// <remarks>Linux: O_DIRECT, see open(2). A file system may refuse it when the flag is set, or with the first write; both are noticed.</remarks>
public sealed partial class DirectFile : IDisposable
{
    /// <summary>Offsets and lengths of what bypasses the page cache are multiples of it, in bytes.</summary>
    public const int Unit = 4096;

    private const int SetFlags = 4; // F_SETFL

    private readonly SafeFileHandle handle;
    private bool permitted = OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.Arm64;
    private bool isDirect;

    private DirectFile(SafeFileHandle handle) => this.handle = handle;

    private static int DirectFlag => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x1_0000 : 0x4000; // O_DIRECT

    /// <summary>Creates a file of a given length, or empties it; where the file system can, its disk space is reserved.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    /// <exception cref="UnauthorizedAccessException">The system refused.</exception>
    public static DirectFile Create(string path, long length)
    {
        SafeFileHandle handle = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.Read, FileOptions.None, length);
        RandomAccess.SetLength(handle, length);
        return new DirectFile(handle);
    }

    /// <summary>Opens a file to go on writing it.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    /// <exception cref="UnauthorizedAccessException">The system refused.</exception>
    public static DirectFile Open(string path) => new(File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.Read));

    /// <summary>Memory that can be written without a copy.</summary>
    /// <param name="bytes">Its length.</param>
    public static Memory<byte> Buffer(int bytes)
    {
        byte[] array = GC.AllocateUninitializedArray<byte>(bytes + Unit, pinned: true);
        return array.AsMemory((int)(-Marshal.UnsafeAddrOfPinnedArrayElement(array, 0) & (Unit - 1)), bytes);
    }

    /// <summary>Writes bytes.</summary>
    /// <param name="bytes">The bytes; without a copy where they begin a <see cref="Buffer"/>.</param>
    /// <param name="offset">Where they go; without a copy where it is a multiple of <see cref="Unit"/>.</param>
    /// <exception cref="IOException">The system refused.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        int whole = offset % Unit == 0 ? bytes.Length / Unit * Unit : 0;
        if (whole > 0 && Become(direct: true))
        {
            try
            {
                RandomAccess.Write(handle, bytes[..whole], offset);
                bytes = bytes[whole..];
                offset += whole;
            }
            catch (IOException)
            {
                permitted = false; // the file system has other rules; any other problem comes again with the usual write
            }
        }

        if (!bytes.IsEmpty)
        {
            Become(direct: false);
            RandomAccess.Write(handle, bytes, offset);
        }
    }

    /// <summary>Waits until all that was written is on disk.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public void Flush() => RandomAccess.FlushToDisk(handle);

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Control(SafeFileHandle file, int command, int flags);

    /// <summary>Sets or clears the flag; true where it is set.</summary>
    private bool Become(bool direct)
    {
        direct &= permitted;
        if (direct != isDirect)
        {
            isDirect = Control(handle, SetFlags, direct ? DirectFlag : 0) == 0 ? direct : isDirect;
            permitted &= isDirect == direct;
        }

        return isDirect;
    }
}

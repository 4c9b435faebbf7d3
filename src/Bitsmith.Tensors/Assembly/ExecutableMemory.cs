using System.Runtime.InteropServices;
using Iced.Intel;

namespace Bitsmith.Tensors.Assembly;

/// <summary>
/// Machine code made at run time. Pages are written first and then made executable, never both at once; they live as long as the process, as kernels are few and small.
/// System V x64 only: kernels take their one argument in rdi and may change every vector register.
/// </summary>
internal static unsafe partial class ExecutableMemory
{
    private const int ReadWrite = 3, ReadExecute = 5, PrivateAnonymous = 0x22, PrivateAnonymousMac = 0x1002;

    /// <summary>True where kernels can be assembled: 64-bit x86 under Linux or macOS, and the system lets memory become executable.</summary>
    public static bool IsAvailable { get; } =
        RuntimeInformation.ProcessArchitecture == Architecture.X64 && (OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()) && TryStore(code => code.ret(), out _);

    /// <summary>Assembles a leaf function and makes it callable.</summary>
    /// <exception cref="InvalidOperationException">The system does not let memory become executable; ask <see cref="IsAvailable"/> first.</exception>
    public static nint Store(Action<Assembler> write) => TryStore(write, out nint start)
        ? start
        : throw new InvalidOperationException("The system refuses executable memory; kernels must not be assembled here.");

    private static bool TryStore(Action<Assembler> write, out nint start)
    {
        Assembler assembler = new(64) { PreferVex = false }; // registers 16 to 31 have no VEX form
        write(assembler);
        using MemoryStream code = new();
        assembler.Assemble(new StreamCodeWriter(code), rip: 0); // kernels jump relatively and name no address
        nint length = (nint)code.Length;
        start = Map(0, length, ReadWrite, OperatingSystem.IsMacOS() ? PrivateAnonymousMac : PrivateAnonymous, -1, 0);
        if (start == -1)
        {
            return false;
        }

        code.GetBuffer().AsSpan(0, (int)length).CopyTo(new Span<byte>((void*)start, (int)length));
        if (Protect(start, length, ReadExecute) == 0)
        {
            return true;
        }

        _ = Unmap(start, length);
        return false;
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint address, nint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint address, nint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nint length);
}

namespace Bitsmith.Tensors.Memory;

/// <summary>Working memory of kernels: one for each thread, kept as long as the thread lives, so that a task allocates nothing.</summary>
public static unsafe class ThreadScratch
{
    [ThreadStatic]
    private static AlignedMemory? memory;

    /// <summary>This thread's memory, aligned, its content undefined; valid until the thread takes it again, so no kernel that holds it may call another that takes it.</summary>
    /// <param name="length">Number of values.</param>
    public static Span<T> Take<T>(int length)
        where T : unmanaged => new((memory ??= new AlignedMemory()).Require((long)length * sizeof(T)), length);
}

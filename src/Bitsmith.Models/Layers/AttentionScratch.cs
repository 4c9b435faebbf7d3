using Bitsmith.Tensors.Memory;

namespace Bitsmith.Models.Layers;

/// <summary>Working memory of attention, one for each thread, kept between passes.</summary>
internal static unsafe class AttentionScratch
{
    [ThreadStatic]
    private static AlignedMemory? memory;

    /// <summary>This thread's memory, aligned; valid until the thread takes it again.</summary>
    public static Span<float> Take(int floats)
    {
        memory ??= new AlignedMemory();
        return new Span<float>(memory.Require((long)floats * sizeof(float)), floats);
    }
}

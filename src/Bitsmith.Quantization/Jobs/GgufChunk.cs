using Bitsmith.Quantization.Conversion;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>One step's bytes on their way to the file; reused.</summary>
internal sealed class GgufChunk : IDisposable
{
    private byte[] bytes = [];

    /// <summary>Bytes of memory for a step of so many values.</summary>
    public static long BytesFor(long mostValues) => mostValues * sizeof(float);

    /// <summary>The step at work.</summary>
    public GgufStep Step { get; private set; }

    /// <summary>Signalled when <see cref="Bytes"/> and <see cref="Error"/> are ready.</summary>
    public ManualResetEventSlim Encoded { get; } = new();

    /// <summary>The bytes to write.</summary>
    public ReadOnlySpan<byte> Bytes => bytes.AsSpan(0, Step.Bytes);

    /// <summary>What encoding lost.</summary>
    public QuantizationError Error { get; private set; }

    /// <summary>Takes the buffer into use.</summary>
    public void Begin(GgufStep step)
    {
        Step = step;
        Encoded.Reset();
    }

    /// <summary>Does the step.</summary>
    /// <param name="encoder">The thread's.</param>
    /// <param name="output">The tensor with its name in the file.</param>
    public void Encode(GgufEncoder encoder, GgufOutput output)
    {
        bytes = bytes.Length >= Step.Bytes ? bytes : GC.AllocateUninitializedArray<byte>(Step.Bytes);
        Error = encoder.Encode(Step, output, bytes.AsSpan(0, Step.Bytes));
        Encoded.Set();
    }

    /// <inheritdoc/>
    public void Dispose() => Encoded.Dispose();
}

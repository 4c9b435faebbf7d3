using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Jobs;

/// <summary>One read of the source on its way through the stages; reused.</summary>
internal sealed class Chunk : IDisposable
{
    private byte[] input = [], codes = [], scales = [], zeroPoints = [];
    private QuantizationError[] errors = [], libraryErrors = [];
    private int users;

    /// <summary>Where it comes from and what becomes of it.</summary>
    public ReadStep Step { get; private set; }

    /// <summary>Signalled when <see cref="Result"/>, <see cref="Rows"/> and errors are ready.</summary>
    public ManualResetEventSlim Encoded { get; } = new();

    public Span<byte> Input => input.AsSpan(0, Step.Bytes);

    /// <summary>What is written first: the codes of <see cref="Rows"/>, or the input as it was read.</summary>
    public ReadOnlyMemory<byte> Result { get; private set; }

    public EncodedRows Rows { get; private set; }

    public Memory<QuantizationError> Errors { get; private set; }

    public Memory<QuantizationError> LibraryErrors { get; private set; }

    /// <summary>Takes the chunk into use for a step by a number of stages.</summary>
    public void Begin(ReadStep step, int stages)
    {
        Step = step;
        users = stages;
        Encoded.Reset();
        Result = Grow(ref input, step.Bytes).AsMemory(0, step.Bytes);
    }

    /// <summary>Makes room for the result of encoding.</summary>
    public void Prepare(int codeBytes, int scaleBytes, int zeroPointBytes, int blockRows, bool withLibrary)
    {
        Rows = new EncodedRows(
            Grow(ref codes, codeBytes).AsMemory(0, codeBytes), Grow(ref scales, scaleBytes).AsMemory(0, scaleBytes), Grow(ref zeroPoints, zeroPointBytes).AsMemory(0, zeroPointBytes));
        Result = Rows.Codes;
        Errors = Grow(ref errors, blockRows).AsMemory(0, blockRows);
        LibraryErrors = Grow(ref libraryErrors, withLibrary ? blockRows : 0).AsMemory(0, withLibrary ? blockRows : 0);
    }

    /// <summary>One stage is through with it; true for the last.</summary>
    public bool Release() => Interlocked.Decrement(ref users) == 0;

    public void Dispose() => Encoded.Dispose();

    private static T[] Grow<T>(ref T[] array, int length) => array.Length >= length ? array : array = new T[length];
}

/// <summary>One read of the source.</summary>
/// <param name="File">Index of the source file.</param>
/// <param name="Offset">First byte in the file.</param>
/// <param name="Bytes">Number of bytes.</param>
/// <param name="Row">The tensor that the bytes belong to; null where they are only hashed.</param>
/// <param name="Start">First byte in the tensor.</param>
/// <param name="FirstRow">First matrix row, where the tensor is encoded.</param>
/// <param name="Rows">Matrix rows, where the tensor is encoded.</param>
/// <param name="Hash">The bytes count for the hash of the source file.</param>
/// <param name="EndsTensor">Last read of the tensor.</param>
/// <param name="EndsFile">Last read of the source file.</param>
/// <param name="EndsShard">Last read for the shard of this index; -1 otherwise.</param>
internal readonly record struct ReadStep(
    int File, long Offset, int Bytes, PlanRow? Row, long Start, int FirstRow, int Rows, bool Hash, bool EndsTensor, bool EndsFile, int EndsShard);

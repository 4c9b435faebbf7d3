using System.Buffers;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Conversion;

/// <summary>Rows of a tensor of a GGUF file: a matrix, or one of a stack.</summary>
internal sealed record PackedSource : TensorSource
{
    private readonly GgufFile file;
    private readonly GgufTensorType type;
    private readonly TensorBytes bytes;
    private readonly long start;

    private PackedSource(GgufFile file, GgufTensor tensor, TensorBytes bytes, long start, int rows, int columns)
        : base(tensor.Name, rows, columns) => (this.file, type, this.bytes, this.start) = (file, tensor.Type, bytes, start);

    private int RowBytes => Columns / type.BlockValues * type.BlockBytes;

    /// <summary>The matrices of a tensor: one, or one for each expert of a stack.</summary>
    /// <exception cref="CheckpointException">A size is beyond what can be worked with.</exception>
    public static IReadOnlyList<TensorSource> Create(GgufFile file, GgufTensor tensor)
    {
        long columns = tensor.Shape.LastOrDefault(1), rows = tensor.Shape.Count > 1 ? tensor.Shape[^2] : 1;
        long matrices = columns * rows == 0 ? 0 : tensor.Elements / (columns * rows);
        if (columns > int.MaxValue / sizeof(float) || rows > int.MaxValue || matrices > int.MaxValue)
        {
            throw new CheckpointException(file.Path, $"tensor '{tensor.Name}' is {tensor.Describe()}; rows of up to {int.MaxValue / sizeof(float)} columns, and up to {int.MaxValue} rows, can be read.");
        }

        TensorBytes bytes = file.Bytes(tensor);
        return [.. Enumerable.Range(0, (int)matrices).Select(matrix => new PackedSource(file, tensor, bytes, tensor.Bytes / matrices * matrix, (int)rows, (int)columns))];
    }

    public override void Read(int first, int count, Span<float> target)
    {
        GgmlFormat format = GgmlFormats.TryGet(type.Number, out GgmlFormat? known) ? known : throw new CheckpointException(file.Path, $"tensor '{Name}' is {type.Name}, which holds no weights.");
        byte[] stored = ArrayPool<byte>.Shared.Rent(checked(count * RowBytes));
        try
        {
            Span<byte> rows = stored.AsSpan(0, count * RowBytes);
            bytes.Read(start + ((long)first * RowBytes), rows);
            format.Decode(rows, target);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(stored);
        }
    }

    public override ReadOnlySpan<byte> Stored(int first, int count) => bytes.Span(start + ((long)first * RowBytes), checked(count * RowBytes));

    public override void Release() => bytes.Release();
}

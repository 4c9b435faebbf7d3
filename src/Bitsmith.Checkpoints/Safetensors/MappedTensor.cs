using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>The bytes of a tensor, mapped from its file; valid until the file is disposed.</summary>
/// <param name="file">The file.</param>
/// <param name="tensor">A tensor of it.</param>
public sealed class MappedTensor(SafetensorsFile file, StoredTensor tensor) : TensorBytes
{
    /// <inheritdoc/>
    public override long Length => tensor.Bytes;

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Span(long first, int length) => file.View(tensor, first, length);

    /// <inheritdoc/>
    public override void Release() => file.Release(tensor);
}

using System.Text;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>Where each tensor of a GGUF file (version 3) to be written goes: the header bytes and the data offsets. Tensors keep the order given.</summary>
public sealed class GgufLayout
{
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private GgufLayout(byte[] header, IReadOnlyList<GgufTensor> tensors, long length)
    {
        HeaderBytes = header;
        Tensors = tensors;
        Length = length;
    }

    /// <summary>The header with the padding behind it: the data starts where it ends.</summary>
    public ReadOnlyMemory<byte> HeaderBytes { get; }

    /// <summary>The tensors with their places.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    /// <summary>Length of the whole file in bytes; the last tensor is padded too.</summary>
    public long Length { get; }

    /// <summary>Lays tensors out one behind the other, each at a multiple of 32 bytes.</summary>
    /// <param name="metadata">Key/value pairs.</param>
    /// <param name="tensors">Names, types and shapes.</param>
    /// <exception cref="ArgumentException">
    /// A name is longer than 63 bytes or stands twice, a tensor has more than four dimensions or rows of no whole blocks, a text is no valid UTF-16, or
    /// the metadata asks for another alignment.
    /// </exception>
    public static GgufLayout Create(GgufMetadata metadata, IReadOnlyList<GgufTensorInfo> tensors)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        ArgumentNullException.ThrowIfNull(tensors);
        const int Alignment = GgufHeader.DefaultAlignment;
        if (metadata.Find(GgufHeader.AlignmentKey) is { } other && !other.Equals(new GgufValue((uint)Alignment)))
        {
            throw new ArgumentException($"Files are written with an alignment of {Alignment} bytes; the metadata says {other}.", nameof(metadata));
        }

        using MemoryStream header = new();
        using (BinaryWriter writer = new(header, Utf8, leaveOpen: true))
        {
            writer.Write(GgufHeader.Magic);
            writer.Write((uint)GgufHeader.LatestVersion);
            writer.Write((long)tensors.Count);
            writer.Write((long)metadata.Count);
            foreach ((string key, GgufValue value) in metadata)
            {
                Write(writer, key);
                writer.Write((uint)value.Type);
                WriteContent(writer, value.Content);
            }

            long offset = 0;
            HashSet<string> names = new(StringComparer.Ordinal);
            foreach (GgufTensorInfo tensor in tensors)
            {
                Check(tensor, names);
                Write(writer, tensor.Name);
                writer.Write((uint)tensor.Shape.Count);
                foreach (long size in tensor.Shape.Reverse())
                {
                    writer.Write(size);
                }

                writer.Write((uint)tensor.Type.Number);
                writer.Write(offset);
                offset = GgufHeader.Align(checked(offset + tensor.Bytes), Alignment);
            }

            writer.Write(new byte[(int)(GgufHeader.Align(header.Length, Alignment) - header.Length)]);
        }

        long position = header.Length;
        List<GgufTensor> placed = new(tensors.Count);
        foreach (GgufTensorInfo tensor in tensors)
        {
            placed.Add(new GgufTensor(tensor.Name, tensor.Type, tensor.Shape, position));
            position = GgufHeader.Align(checked(position + tensor.Bytes), Alignment);
        }

        return new GgufLayout(header.ToArray(), placed, position);
    }

    private static void Check(GgufTensorInfo tensor, HashSet<string> names)
    {
        string? problem = Encoding.UTF8.GetByteCount(tensor.Name) > GgufHeader.MaxNameBytes ? $"has a name of more than {GgufHeader.MaxNameBytes} bytes"
            : tensor.Shape.Count > GgufHeader.MaxDimensions ? $"has {tensor.Shape.Count} dimensions, at most {GgufHeader.MaxDimensions} are allowed"
            : tensor.Shape.LastOrDefault(1) % tensor.Type.BlockValues != 0 ? $"is {tensor.Describe()}: its rows are no whole number of blocks of {tensor.Type.BlockValues}"
            : names.Add(tensor.Name) ? null : "stands twice";
        if (problem is not null)
        {
            throw new ArgumentException($"Tensor '{tensor.Name}' {problem}.", nameof(tensor));
        }
    }

    private static void Write(BinaryWriter writer, string text)
    {
        byte[] bytes = Utf8.GetBytes(text);
        writer.Write((long)bytes.Length);
        writer.Write(bytes);
    }

    private static void WriteContent(BinaryWriter writer, object content)
    {
        switch (content)
        {
            case Array items:
                writer.Write((uint)new GgufValue(items).ElementType!);
                writer.Write((long)items.Length);
                foreach (object item in items)
                {
                    WriteContent(writer, item is GgufValue inner ? inner.Content : item);
                }

                break;
            case string text:
                Write(writer, text);
                break;
            case byte value:
                writer.Write(value);
                break;
            case sbyte value:
                writer.Write(value);
                break;
            case ushort value:
                writer.Write(value);
                break;
            case short value:
                writer.Write(value);
                break;
            case uint value:
                writer.Write(value);
                break;
            case int value:
                writer.Write(value);
                break;
            case float value:
                writer.Write(value);
                break;
            case bool value:
                writer.Write(value);
                break;
            case ulong value:
                writer.Write(value);
                break;
            case long value:
                writer.Write(value);
                break;
            case double value:
                writer.Write(value);
                break;
            default:
                throw new InvalidOperationException($"{content.GetType()} in metadata"); // GgufValue lets nothing else in
        }
    }
}

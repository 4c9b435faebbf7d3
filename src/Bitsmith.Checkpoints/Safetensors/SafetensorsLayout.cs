using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>
/// Where each tensor of a safetensors file to be written goes: the header bytes and the data offsets. Tensors keep the order given.
/// </summary>
public sealed class SafetensorsLayout
{
    // The library pads the JSON with spaces so that the data starts at a multiple of this.
    private const int Alignment = 8;

    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private SafetensorsLayout(byte[] header, IReadOnlyList<StoredTensor> tensors, long length)
    {
        HeaderBytes = header;
        Tensors = tensors;
        Length = length;
    }

    /// <summary>Length prefix and JSON, ready to write.</summary>
    public ReadOnlyMemory<byte> HeaderBytes { get; }

    /// <summary>The tensors with their places.</summary>
    public IReadOnlyList<StoredTensor> Tensors { get; }

    /// <summary>Length of the whole file in bytes.</summary>
    public long Length { get; }

    /// <summary>Lays tensors out one behind the other.</summary>
    /// <param name="tensors">Names, types and shapes.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c>; transformers wants <c>format: pt</c>.</param>
    public static SafetensorsLayout Create(IReadOnlyList<TensorInfo> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(metadata);
        using MemoryStream json = new();
        using (Utf8JsonWriter writer = new(json, WriterOptions))
        {
            writer.WriteStartObject();
            if (metadata.Count > 0)
            {
                writer.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata)
                {
                    writer.WriteString(key, value);
                }

                writer.WriteEndObject();
            }

            long offset = 0;
            foreach (TensorInfo tensor in tensors)
            {
                writer.WriteStartObject(tensor.Name);
                writer.WriteString("dtype", tensor.Type.SafetensorsName());
                writer.WriteStartArray("shape");
                foreach (long size in tensor.Shape)
                {
                    writer.WriteNumberValue(size);
                }

                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(offset);
                offset = checked(offset + tensor.Bytes);
                writer.WriteNumberValue(offset);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        int padding = (int)(-json.Length & (Alignment - 1));
        json.Write(Encoding.ASCII.GetBytes(new string(' ', padding)));
        byte[] header = new byte[SafetensorsHeader.PrefixBytes + json.Length];
        BinaryPrimitives.WriteInt64LittleEndian(header, json.Length);
        json.ToArray().CopyTo(header, SafetensorsHeader.PrefixBytes);

        long position = header.Length;
        List<StoredTensor> stored = [];
        foreach (TensorInfo tensor in tensors)
        {
            stored.Add(new StoredTensor(tensor.Name, tensor.Type, tensor.Shape, position));
            position += tensor.Bytes;
        }

        return new SafetensorsLayout(header, stored, position);
    }
}

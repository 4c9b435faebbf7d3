using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>
/// The header of a safetensors file: 8 bytes of length (little endian), then JSON that maps each name to dtype, shape and
/// data_offsets, with optional strings under <c>__metadata__</c>. The data ranges must cover the rest of the file exactly.
/// Every rule is checked before anything is allocated by a number from the file.
/// </summary>
public sealed class SafetensorsHeader
{
    /// <summary>The longest header that is read, in bytes: the limit of the safetensors library.</summary>
    public const int MaxBytes = 100_000_000;

    /// <summary>Bytes before the JSON.</summary>
    public const int PrefixBytes = 8;

    private const int MaxDimensions = 32;

    private SafetensorsHeader(IReadOnlyList<StoredTensor> tensors, IReadOnlyDictionary<string, string> metadata, int bytes)
    {
        Tensors = tensors;
        Metadata = metadata;
        Bytes = bytes;
    }

    /// <summary>The tensors in the order of their data.</summary>
    public IReadOnlyList<StoredTensor> Tensors { get; }

    /// <summary>The strings under <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Length of prefix and JSON together: where the data starts.</summary>
    public int Bytes { get; }

    /// <summary>Checks the length prefix against the file's length.</summary>
    /// <returns>The length of the JSON in bytes.</returns>
    /// <exception cref="CheckpointException">The file is too short, or the length is impossible.</exception>
    public static int CheckPrefix(ReadOnlySpan<byte> prefix, long fileLength, string path)
    {
        if (fileLength < PrefixBytes || prefix.Length < PrefixBytes)
        {
            throw new CheckpointException(path, $"{fileLength} bytes are too few for a safetensors file (its header length takes 8). Download it again.");
        }

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxBytes)
        {
            throw new CheckpointException(path, $"the first 8 bytes give a header of {length} bytes; at most {MaxBytes} are allowed. This is no safetensors file, or it is damaged.");
        }

        if ((long)length > fileLength - PrefixBytes)
        {
            throw new CheckpointException(path, $"the first 8 bytes give a header of {length} bytes, but only {fileLength - PrefixBytes} follow. The file is cut off or damaged; download it again.");
        }

        return (int)length;
    }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="json">The JSON, without the length prefix.</param>
    /// <param name="fileLength">Length of the whole file in bytes.</param>
    /// <param name="path">Names the file in errors.</param>
    /// <exception cref="CheckpointException">Any rule of the format is broken.</exception>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long fileLength, string path)
    {
        if (!Utf8.IsValid(json))
        {
            throw new CheckpointException(path, "the header is not valid UTF-8. The file is damaged; download it again.");
        }

        int headerBytes = PrefixBytes + json.Length;
        List<StoredTensor> tensors = [];
        Dictionary<string, string> metadata = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        try
        {
            Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 8 });
            reader.Expect(JsonTokenType.StartObject, "the header");
            while (reader.ReadProperty(out string name))
            {
                if (!names.Add(name))
                {
                    throw new JsonException($"the name '{name}' stands twice");
                }

                if (name == "__metadata__")
                {
                    ReadMetadata(ref reader, metadata);
                }
                else
                {
                    tensors.Add(ReadTensor(ref reader, name, headerBytes));
                }
            }

            if (reader.Read())
            {
                throw new JsonException("something follows the header's closing brace");
            }
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException or OverflowException or FormatException)
        {
            throw new CheckpointException(path, $"header: {problem.Message.TrimEnd('.')}. The file is damaged or was not written by a safetensors library.", problem);
        }

        // Empty tensors share an offset with their neighbour; the length puts them first. Several of them keep the header's order.
        tensors = [.. tensors.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.Bytes)];
        CheckTiling(tensors, headerBytes, fileLength, path);
        return new SafetensorsHeader(tensors, metadata, headerBytes);
    }

    private static void ReadMetadata(ref Utf8JsonReader reader, Dictionary<string, string> metadata)
    {
        reader.Expect(JsonTokenType.StartObject, "__metadata__");
        while (reader.ReadProperty(out string key))
        {
            reader.Expect(JsonTokenType.String, $"__metadata__.{key}");
            if (!metadata.TryAdd(key, reader.GetString()!))
            {
                throw new JsonException($"__metadata__.{key} stands twice");
            }
        }
    }

    private static StoredTensor ReadTensor(ref Utf8JsonReader reader, string name, int headerBytes)
    {
        ElementType? type = null;
        List<long>? shape = null, range = null;
        HashSet<string> keys = [];
        reader.Expect(JsonTokenType.StartObject, $"tensor '{name}'");
        while (reader.ReadProperty(out string key))
        {
            if (!keys.Add(key))
            {
                throw new JsonException($"tensor '{name}' has '{key}' twice");
            }

            switch (key)
            {
                case "dtype":
                    reader.Expect(JsonTokenType.String, $"dtype of '{name}'");
                    string dtype = reader.GetString()!;
                    type = ElementTypeExtensions.TryParse(dtype, out ElementType known)
                        ? known
                        : throw new JsonException($"tensor '{name}' has dtype '{dtype}'; known are {ElementTypeExtensions.KnownNames}");
                    break;
                case "shape":
                    shape = ReadNumbers(ref reader, $"shape of '{name}'", MaxDimensions);
                    break;
                case "data_offsets":
                    range = ReadNumbers(ref reader, $"data_offsets of '{name}'", 2);
                    break;
                default:
                    reader.Read();
                    reader.Skip();
                    break;
            }
        }

        if (type is null || shape is null || range is not [long begin, long end])
        {
            throw new JsonException($"tensor '{name}' lacks dtype, shape or two data_offsets");
        }

        StoredTensor tensor;
        try
        {
            tensor = new StoredTensor(name, type.Value, shape, checked(headerBytes + begin));
            _ = checked(tensor.Offset + tensor.Bytes);
        }
        catch (OverflowException)
        {
            throw new JsonException($"tensor '{name}': the shape [{string.Join(", ", shape)}] or data_offsets [{begin}, {end}] are more bytes than 63 bits count");
        }

        return end - begin == tensor.Bytes
            ? tensor
            : throw new JsonException($"tensor '{name}': {tensor.Describe()} takes {tensor.Bytes} bytes, but data_offsets [{begin}, {end}] span {end - begin}");
    }

    private static List<long> ReadNumbers(ref Utf8JsonReader reader, string place, int most)
    {
        List<long> numbers = [];
        reader.Expect(JsonTokenType.StartArray, place);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
            {
                throw new JsonException($"{place} holds something other than whole numbers from 0 on");
            }

            numbers.Add(number);
            if (numbers.Count > most)
            {
                throw new JsonException($"{place} has more than {most} numbers");
            }
        }

        return numbers;
    }

    private static void CheckTiling(List<StoredTensor> tensors, long position, long fileLength, string path)
    {
        foreach (StoredTensor tensor in tensors)
        {
            if (tensor.Offset != position)
            {
                string relation = tensor.Offset < position ? "overlaps the tensor before it" : "leaves a gap before it";
                throw new CheckpointException(path, $"tensor '{tensor.Name}' starts at byte {tensor.Offset} but the data before it ends at {position}: it {relation}. The file is damaged or was not written by a safetensors library.");
            }

            position += tensor.Bytes; // no overflow: checked when the tensor was read
        }

        if (position != fileLength)
        {
            throw new CheckpointException(path, $"the header describes {position} bytes but the file has {fileLength}. {(position > fileLength ? "It is cut off; download it again." : "Something follows the data.")}");
        }
    }
}

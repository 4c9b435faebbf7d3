using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>
/// Reads the header of a GGUF file front to back. Whatever a length or a count in the file says, it is compared with what follows before anything is allocated.
/// </summary>
internal sealed class GgufCursor(MappedFile file)
{
    // Deeper nesting has no use, and would let a file of a few kilobytes exhaust the stack.
    private const int MaxNesting = 4;

    private readonly byte[] buffer = new byte[1 << 16];
    private long bufferStart;
    private int bufferLength;

    /// <summary>Bytes read so far.</summary>
    public long Position { get; private set; }

    private long Left => file.Length - Position;

    public CheckpointException Broken(string problem) => new(file.Path, $"{problem}. The file is damaged or was not written by a GGUF library.");

    public uint UInt32(string place) => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint), place));

    public ulong UInt64(string place) => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong), place));

    /// <summary>A count of things that take at least so many bytes each, all of which must fit into the rest of the file.</summary>
    public int Count(string what, int bytesEach)
    {
        ulong count = UInt64($"the number of {what}");
        return count <= (ulong)(Left / bytesEach) && count <= (ulong)Array.MaxLength
            ? (int)count
            : throw Broken($"there are to be {count} {what} of at least {bytesEach} byte(s), but only {Left} bytes follow");
    }

    public string Text(string place, int maxBytes = int.MaxValue)
    {
        ulong length = UInt64(place);
        if (length > (ulong)Left || length > (ulong)maxBytes)
        {
            throw Broken($"{place} is to have {length} bytes; {(length > (ulong)Left ? $"only {Left} follow" : $"at most {maxBytes} are allowed")}");
        }

        ReadOnlySpan<byte> bytes = Take((int)length, place);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Broken($"{place} is not valid UTF-8");
    }

    public GgufValue Value(string place) => new(Content(Type(place), place, 0));

    private GgufValueType Type(string place)
    {
        uint type = UInt32($"the type of {place}");
        return type <= (uint)GgufValueType.Float64 ? (GgufValueType)type : throw Broken($"{place} has type {type}; known are 0 to {(int)GgufValueType.Float64}");
    }

    private object Content(GgufValueType type, string place, int nesting) => type switch
    {
        GgufValueType.UInt8 => Take(1, place)[0],
        GgufValueType.Int8 => (sbyte)Take(1, place)[0],
        GgufValueType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(Take(2, place)),
        GgufValueType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(Take(2, place)),
        GgufValueType.UInt32 => UInt32(place),
        GgufValueType.Int32 => (int)UInt32(place),
        GgufValueType.Float32 => BinaryPrimitives.ReadSingleLittleEndian(Take(4, place)),
        GgufValueType.Bool => Truth(Take(1, place)[0], place),
        GgufValueType.String => Text(place),
        GgufValueType.UInt64 => UInt64(place),
        GgufValueType.Int64 => (long)UInt64(place),
        GgufValueType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(Take(8, place)),
        _ => Items(place, nesting + 1),
    };

    private Array Items(string place, int nesting)
    {
        if (nesting > MaxNesting)
        {
            throw Broken($"{place} holds arrays more than {MaxNesting} deep");
        }

        GgufValueType type = Type($"the elements of {place}");
        switch (type)
        {
            case GgufValueType.String:
                string[] texts = new string[Count($"texts in {place}", sizeof(ulong))];
                string element = $"an element of {place}"; // one text for all of them: there are hundreds of thousands
                for (int i = 0; i < texts.Length; i++)
                {
                    texts[i] = Text(element);
                }

                return texts;
            case GgufValueType.Array:
                GgufValue[] arrays = new GgufValue[Count($"arrays in {place}", sizeof(uint) + sizeof(ulong))];
                for (int i = 0; i < arrays.Length; i++)
                {
                    arrays[i] = new GgufValue(Items($"{place}[{i}]", nesting + 1));
                }

                return arrays;
            case GgufValueType.Bool:
                bool[] flags = new bool[Count($"flags in {place}", 1)];
                for (int i = 0; i < flags.Length; i++)
                {
                    flags[i] = Truth(Take(1, place)[0], place);
                }

                return flags;
            case GgufValueType.UInt8:
                return Numbers<byte>(place);
            case GgufValueType.Int8:
                return Numbers<sbyte>(place);
            case GgufValueType.UInt16:
                return Numbers<ushort>(place);
            case GgufValueType.Int16:
                return Numbers<short>(place);
            case GgufValueType.UInt32:
                return Numbers<uint>(place);
            case GgufValueType.Int32:
                return Numbers<int>(place);
            case GgufValueType.Float32:
                return Numbers<float>(place);
            case GgufValueType.UInt64:
                return Numbers<ulong>(place);
            case GgufValueType.Int64:
                return Numbers<long>(place);
            default:
                return Numbers<double>(place);
        }
    }

    private unsafe T[] Numbers<T>(string place)
        where T : unmanaged
    {
        T[] numbers = new T[Count($"numbers in {place}", sizeof(T))];
        Span<byte> bytes = MemoryMarshal.AsBytes(numbers.AsSpan());
        file.Read(Position, bytes);
        Position += (long)numbers.Length * sizeof(T);
        return numbers;
    }

    private bool Truth(byte value, string place) => value <= 1 ? value == 1 : throw Broken($"{place} is a truth value of {value}; expected 0 or 1");

    private ReadOnlySpan<byte> Take(int length, string place)
    {
        if (length > Left)
        {
            throw Broken($"{place} takes {length} bytes at byte {Position}, but only {Left} follow: the file is cut off");
        }

        long start = Position;
        Position += length;
        if (length > buffer.Length)
        {
            byte[] all = new byte[length];
            file.Read(start, all);
            return all;
        }

        if (start < bufferStart || start + length > bufferStart + bufferLength)
        {
            bufferStart = start;
            bufferLength = (int)Math.Min(buffer.Length, file.Length - start);
            file.Read(start, buffer.AsSpan(0, bufferLength));
        }

        return buffer.AsSpan((int)(start - bufferStart), length);
    }
}

using System.Text;
using System.Text.Unicode;

namespace Bitsmith.Checkpoints.Parquet;

/// <summary>What a field of Thrift's compact protocol holds.</summary>
internal enum ThriftType : byte
{
    Stop = 0,
    True = 1,
    False = 2,
    Byte = 3,
    Int16 = 4,
    Int32 = 5,
    Int64 = 6,
    Double = 7,
    Binary = 8,
    List = 9,
    Set = 10,
    Map = 11,
    Struct = 12,
}

/// <summary>
/// Reads Thrift's compact protocol (apache/thrift, thrift-compact-protocol.md), in which Parquet's footer and page headers are written. Every length is compared with what follows, and nesting
/// is bounded.
/// </summary>
internal ref struct ThriftReader(ReadOnlySpan<byte> bytes)
{
    private const int MaxNesting = 16;

    private readonly ReadOnlySpan<byte> bytes = bytes;
    private int nesting;

    /// <summary>Bytes read so far.</summary>
    public int Position { get; private set; }

    /// <summary>Begins a struct; ends it with the field that stops it.</summary>
    public void BeginStruct()
    {
        if (++nesting > MaxNesting)
        {
            throw new InvalidDataException($"the metadata are nested deeper than {MaxNesting}");
        }
    }

    /// <summary>Reads the head of a struct's next field; false at the struct's end.</summary>
    /// <param name="id">The number of the field before, 0 at first; receives this one's.</param>
    /// <param name="type">Receives what it holds.</param>
    public bool Field(ref int id, out ThriftType type)
    {
        byte head = Byte();
        type = (ThriftType)(head & 15);
        if (type == ThriftType.Stop)
        {
            nesting--;
            return false;
        }

        int step = head >> 4;
        id = step > 0 ? id + step : (int)ZigZag();
        return true;
    }

    /// <summary>Reads a field that must be a 32-bit number.</summary>
    public int Int32(ThriftType type, string what)
    {
        Expect(type is ThriftType.Int32 or ThriftType.Int16, type, what);
        long value = ZigZag();
        return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw new InvalidDataException($"{what} is {value}, more than 32 bits hold");
    }

    /// <summary>Reads a field that must be a number that is not negative.</summary>
    public int Count(ThriftType type, string what) => Int32(type, what) is int count and >= 0 ? count : throw new InvalidDataException($"{what} is negative");

    /// <inheritdoc cref="Count"/>
    public long LongCount(ThriftType type, string what)
    {
        Expect(type == ThriftType.Int64, type, what);
        return ZigZag() is long value and >= 0 ? value : throw new InvalidDataException($"{what} is negative");
    }

    /// <summary>Reads a field that must be true or false.</summary>
    public static bool Bool(ThriftType type, string what)
    {
        Expect(type is ThriftType.True or ThriftType.False, type, what);
        return type == ThriftType.True;
    }

    /// <summary>Reads a field that must be a single byte.</summary>
    public byte Byte(ThriftType type, string what)
    {
        Expect(type == ThriftType.Byte, type, what);
        return Byte();
    }

    /// <summary>Reads a field that must be UTF-8 text.</summary>
    public string Text(ThriftType type, string what)
    {
        Expect(type == ThriftType.Binary, type, what);
        ReadOnlySpan<byte> text = Take(Varint());
        return Utf8.IsValid(text) ? Encoding.UTF8.GetString(text) : throw new InvalidDataException($"{what} is not valid UTF-8");
    }

    /// <summary>Begins a field that must be a list; gives its length, which is no more than the bytes that follow.</summary>
    public int BeginList(ThriftType type, ThriftType element, string what)
    {
        Expect(type is ThriftType.List or ThriftType.Set, type, what);
        (int count, ThriftType found) = ListHead();
        return count == 0 || found == element ? count : throw new InvalidDataException($"{what} hold {found} and not {element}");
    }

    /// <summary>Begins a field that must be a struct.</summary>
    public void BeginStruct(ThriftType type, string what)
    {
        Expect(type == ThriftType.Struct, type, what);
        BeginStruct();
    }

    /// <summary>Passes over a field.</summary>
    public void Skip(ThriftType type)
    {
        switch (type)
        {
            case ThriftType.True or ThriftType.False:
                break;
            case ThriftType.Byte:
                Byte();
                break;
            case ThriftType.Int16 or ThriftType.Int32 or ThriftType.Int64:
                Varint();
                break;
            case ThriftType.Double:
                Take(sizeof(double));
                break;
            case ThriftType.Binary:
                Take(Varint());
                break;
            case ThriftType.List or ThriftType.Set:
                (int count, ThriftType element) = ListHead();
                SkipElements(count, element);
                break;
            case ThriftType.Map:
                SkipMap();
                break;
            case ThriftType.Struct:
                BeginStruct();
                for (int id = 0; Field(ref id, out ThriftType field);)
                {
                    Skip(field);
                }

                break;
            default:
                throw new InvalidDataException($"the metadata have a field of the unknown type {(int)type}");
        }
    }

    private void SkipMap()
    {
        ulong count = Varint();
        byte types = count > 0 ? Byte() : default;
        if (count > (ulong)(bytes.Length - Position))
        {
            throw new InvalidDataException($"a map is to have {count} entries, and {bytes.Length - Position} bytes follow");
        }

        for (ulong i = 0; i < count; i++)
        {
            SkipElements(1, (ThriftType)(types >> 4));
            SkipElements(1, (ThriftType)(types & 15));
        }
    }

    // Inside lists and maps true and false take a byte each.
    private void SkipElements(int count, ThriftType element)
    {
        BeginStruct();
        for (int i = 0; i < count; i++)
        {
            Skip(element is ThriftType.True or ThriftType.False ? ThriftType.Byte : element);
        }

        nesting--;
    }

    private (int Count, ThriftType Element) ListHead()
    {
        byte head = Byte();
        ulong count = head >> 4 == 15 ? Varint() : (ulong)(head >> 4);
        return count <= (ulong)(bytes.Length - Position)
            ? ((int)count, (ThriftType)(head & 15))
            : throw new InvalidDataException($"a list is to have {count} elements, and {bytes.Length - Position} bytes follow");
    }

    private static void Expect(bool met, ThriftType type, string what)
    {
        if (!met)
        {
            throw new InvalidDataException($"{what} is of the type {type}");
        }
    }

    private long ZigZag()
    {
        ulong value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte part = Byte();
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
            {
                return value;
            }
        }

        throw new InvalidDataException("a number of the metadata has more than 64 bits");
    }

    private byte Byte() => Take(1)[0];

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)(bytes.Length - Position))
        {
            throw new InvalidDataException("the metadata end inside a field");
        }

        ReadOnlySpan<byte> taken = bytes.Slice(Position, (int)length);
        Position += (int)length;
        return taken;
    }
}

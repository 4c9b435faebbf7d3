using System.Numerics;
using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>
/// The header of a GGUF file: version, key/value pairs and the places of tensors. Versions 2 and 3 are read, which have the same layout. Every rule that
/// llama.cpp's reader checks is checked before anything is allocated by a number from the file.
/// </summary>
public sealed class GgufHeader
{
    /// <summary>The first four bytes of every GGUF file.</summary>
    public static ReadOnlySpan<byte> Magic => "GGUF"u8;

    /// <summary>The key of the alignment.</summary>
    public const string AlignmentKey = "general.alignment";

    /// <summary>Alignment of tensor data where the file does not say.</summary>
    public const int DefaultAlignment = 32;

    /// <summary>The version that is written.</summary>
    public const int LatestVersion = 3;

    /// <summary>The longest tensor name, in bytes: llama.cpp keeps names in 64 bytes with a zero at the end.</summary>
    public const int MaxNameBytes = 63;

    /// <summary>The most dimensions of a tensor.</summary>
    public const int MaxDimensions = 4;

    private const int MaxKeyBytes = ushort.MaxValue;

    private GgufHeader(int version, GgufMetadata metadata, IReadOnlyList<GgufTensor> tensors, int alignment)
    {
        Version = version;
        Metadata = metadata;
        Tensors = tensors;
        Alignment = alignment;
    }

    /// <summary>Version of the format.</summary>
    public int Version { get; }

    /// <summary>The key/value pairs in the file's order.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>The tensors in the file's order, which is that of their data.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    /// <summary>Every tensor's data starts at a multiple of this, in bytes.</summary>
    public int Alignment { get; }

    /// <summary>Rounds up to the alignment.</summary>
    public static long Align(long position, int alignment) => checked(position + alignment - 1) & -(long)alignment;

    /// <summary>Reads and checks a header.</summary>
    /// <exception cref="CheckpointException">Any rule of the format is broken.</exception>
    internal static GgufHeader Read(MappedFile file)
    {
        GgufCursor cursor = new(file);
        int version = ReadVersion(cursor, file.Path);

        // Three lengths and a byte of data: the least that a tensor or a pair can take.
        int tensorCount = cursor.Count("tensors", sizeof(ulong) + sizeof(uint) + sizeof(uint) + sizeof(ulong));
        int pairCount = cursor.Count("key/value pairs", sizeof(ulong) + sizeof(uint) + 1);
        GgufMetadata metadata = new(file.Path);
        for (int i = 0; i < pairCount; i++)
        {
            string key = cursor.Text($"key {i}", MaxKeyBytes);
            if (metadata.Find(key) is not null)
            {
                throw cursor.Broken($"the key '{key}' stands twice");
            }

            metadata.Add(key, cursor.Value($"key '{key}'"));
        }

        int alignment = ReadAlignment(cursor, metadata);
        List<(GgufTensorInfo Info, ulong Offset)> infos = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        for (int i = 0; i < tensorCount; i++)
        {
            infos.Add(ReadTensor(cursor, i));
            if (!names.Add(infos[^1].Info.Name))
            {
                throw cursor.Broken($"the tensor '{infos[^1].Info.Name}' stands twice");
            }
        }

        return new GgufHeader(version, metadata, Place(cursor, infos, alignment, file.Length), alignment);
    }

    private static int ReadVersion(GgufCursor cursor, string path)
    {
        uint magic = cursor.UInt32("the magic number");
        if (magic != BitConverter.ToUInt32(Magic))
        {
            throw new CheckpointException(path, $"starts with 0x{magic:X8} (little endian); a GGUF file starts with the letters GGUF.");
        }

        uint version = cursor.UInt32("the version");
        return version switch
        {
            2 or LatestVersion => (int)version,
            1 => throw new CheckpointException(path, "is GGUF version 1, whose lengths have 32 bits. Convert the model again; versions 2 and 3 are read."),
            _ when (version & 0xFFFF) == 0 && version != 0 => throw new CheckpointException(
                path, $"has the version 0x{version:X8}: a big-endian file. Little-endian ones are read; llama.cpp's gguf-convert-endian converts it."),
            _ => throw new CheckpointException(path, $"is GGUF version {version}; versions 2 and 3 are read."),
        };
    }

    private static int ReadAlignment(GgufCursor cursor, GgufMetadata metadata) => metadata.Find(AlignmentKey) switch
    {
        null => DefaultAlignment,
        { Content: uint alignment } when BitOperations.IsPow2(alignment) && alignment <= 1 << 30 => (int)alignment,
        { } other => throw cursor.Broken($"key '{AlignmentKey}' is {other.Describe()} {other}; expected a UInt32 that is a power of two"),
    };

    private static (GgufTensorInfo Info, ulong Offset) ReadTensor(GgufCursor cursor, int index)
    {
        string name = cursor.Text($"the name of tensor {index}", MaxNameBytes);
        string place = $"tensor '{name}'";
        uint dimensions = cursor.UInt32(place);
        if (dimensions > MaxDimensions)
        {
            throw cursor.Broken($"{place} has {dimensions} dimensions; at most {MaxDimensions} are allowed");
        }

        long[] shape = new long[dimensions];
        for (int i = shape.Length - 1; i >= 0; i--)
        {
            ulong size = cursor.UInt64(place);
            shape[i] = size <= long.MaxValue ? (long)size : throw cursor.Broken($"{place} has a size of {size}");
        }

        uint number = cursor.UInt32(place);
        GgufTensorType type = GgufTensorType.Find(number) ?? throw cursor.Broken(
            $"{place} has type {number}; known are {string.Join(", ", GgufTensorType.All.Select(known => $"{known.Number} {known.Name}"))}");
        long row = shape.Length == 0 ? 1 : shape[^1];
        if (row % type.BlockValues != 0)
        {
            throw cursor.Broken($"{place} is {type.Name} [{string.Join(", ", shape)}]: rows of {row} elements are no whole number of blocks of {type.BlockValues}");
        }

        try
        {
            GgufTensorInfo info = new(name, type, shape);
            _ = checked(info.Bytes * 2); // room for offsets: every sum of sizes is compared with the file's length before the next is added
            return (info, cursor.UInt64(place));
        }
        catch (OverflowException)
        {
            throw cursor.Broken($"{place}: the shape [{string.Join(", ", shape)}] is more than 63 bits count");
        }
    }

    private static List<GgufTensor> Place(GgufCursor cursor, List<(GgufTensorInfo Info, ulong Offset)> infos, int alignment, long fileLength)
    {
        long start = Align(cursor.Position, alignment), expected = 0;
        List<GgufTensor> tensors = new(infos.Count);
        foreach ((GgufTensorInfo info, ulong offset) in infos)
        {
            if (offset != (ulong)expected)
            {
                string relation = offset < (ulong)expected ? "overlaps the tensor before it" : "leaves a gap before it";
                throw cursor.Broken($"tensor '{info.Name}' is to start at byte {offset} of the data, but the data before it ends, aligned to {alignment}, at {expected}: it {relation}");
            }

            if (info.Bytes > fileLength - start - expected)
            {
                throw cursor.Broken($"tensor '{info.Name}', {info.Describe()}, takes {info.Bytes} bytes at byte {start + expected}, but the file has {fileLength}: it is cut off; download it again");
            }

            tensors.Add(new GgufTensor(info.Name, info.Type, info.Shape, start + expected));
            expected = Align(expected + info.Bytes, alignment);
        }

        return tensors;
    }
}

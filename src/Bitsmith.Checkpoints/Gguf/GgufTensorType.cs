using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Checkpoints.Gguf;

/// <summary>How the elements of a GGUF tensor are stored: rows of blocks. Files hold weights in the types of <see cref="GgmlFormats"/>, and plain numbers.</summary>
/// <param name="Number">ggml's number of the type.</param>
/// <param name="Name">ggml's name, for example <c>Q4_K</c>.</param>
/// <param name="BlockValues">Elements in a block; a row holds whole blocks.</param>
/// <param name="BlockBytes">Bytes of a block.</param>
public sealed record GgufTensorType(int Number, string Name, int BlockValues, int BlockBytes)
{
    // Q8_K is for activations, never in files.
    private static readonly Dictionary<int, GgufTensorType> Known = GgmlFormats.All.Where(format => format.Type != GgmlType.Q8_K)
        .Select(format => new GgufTensorType((int)format.Type, format.Name, format.BlockValues, format.BlockBytes))
        .Concat([new(24, "I8", 1, 1), new(25, "I16", 1, 2), new(26, "I32", 1, 4), new(27, "I64", 1, 8), new(28, "F64", 1, 8)])
        .ToDictionary(type => type.Number);

    /// <summary>IEEE 754 binary32.</summary>
    public static GgufTensorType F32 => Known[(int)GgmlType.F32];

    /// <summary>IEEE 754 binary16.</summary>
    public static GgufTensorType F16 => Known[(int)GgmlType.F16];

    /// <summary>The upper half of a binary32.</summary>
    public static GgufTensorType BF16 => Known[(int)GgmlType.BF16];

    /// <summary>All types.</summary>
    public static IReadOnlyCollection<GgufTensorType> All => Known.Values;

    /// <summary>The type of a number, or null.</summary>
    public static GgufTensorType? Find(long number) => number is >= 0 and <= int.MaxValue ? Known.GetValueOrDefault((int)number) : null;
}

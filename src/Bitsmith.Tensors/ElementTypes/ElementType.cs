namespace Bitsmith.Tensors.ElementTypes;

/// <summary>The element types that a tensor of a model file can have, named as safetensors names them.</summary>
public enum ElementType
{
    /// <summary>IEEE 754 binary64.</summary>
    F64,

    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>The upper half of a binary32: 8 exponent bits, 7 stored significand bits.</summary>
    BF16,

    /// <summary>8-bit float e4m3fn: bias 7, no infinities, NaN 0x7F and 0xFF, largest 448.</summary>
    F8E4M3,

    /// <summary>8-bit float e5m2: bias 15, with infinities.</summary>
    F8E5M2,

    /// <summary>8-bit power of two, bias 127, NaN 0xFF.</summary>
    F8E8M0,

    /// <summary>Signed 64-bit integer.</summary>
    I64,

    /// <summary>Signed 32-bit integer.</summary>
    I32,

    /// <summary>Signed 16-bit integer.</summary>
    I16,

    /// <summary>Signed 8-bit integer.</summary>
    I8,

    /// <summary>Unsigned 64-bit integer.</summary>
    U64,

    /// <summary>Unsigned 32-bit integer.</summary>
    U32,

    /// <summary>Unsigned 16-bit integer.</summary>
    U16,

    /// <summary>Unsigned 8-bit integer.</summary>
    U8,

    /// <summary>One byte, 0 or 1.</summary>
    Bool,
}

/// <summary>Names and sizes of <see cref="ElementType"/>.</summary>
public static class ElementTypeExtensions
{
    // One row for each type: enum, safetensors name, bytes. The single place to add a type.
    private static readonly (ElementType Type, string Name, int Bytes)[] Rows =
    [
        (ElementType.F64, "F64", 8), (ElementType.F32, "F32", 4), (ElementType.F16, "F16", 2), (ElementType.BF16, "BF16", 2),
        (ElementType.F8E4M3, "F8_E4M3", 1), (ElementType.F8E5M2, "F8_E5M2", 1), (ElementType.F8E8M0, "F8_E8M0", 1),
        (ElementType.I64, "I64", 8), (ElementType.I32, "I32", 4), (ElementType.I16, "I16", 2), (ElementType.I8, "I8", 1),
        (ElementType.U64, "U64", 8), (ElementType.U32, "U32", 4), (ElementType.U16, "U16", 2), (ElementType.U8, "U8", 1),
        (ElementType.Bool, "BOOL", 1),
    ];

    /// <summary>The safetensors names of all supported types, for error messages.</summary>
    public static string KnownNames { get; } = string.Join(", ", Rows.Select(row => row.Name));

    /// <summary>The name safetensors uses for the type, for example <c>F8_E4M3</c>.</summary>
    public static string SafetensorsName(this ElementType type) => Rows[(int)type].Name;

    /// <summary>Size of one element in bytes.</summary>
    public static int Bytes(this ElementType type) => Rows[(int)type].Bytes;

    /// <summary>True for the types a weight is trained and stored in: F32, F16 and BF16.</summary>
    public static bool IsWeightFloat(this ElementType type) => type is ElementType.F32 or ElementType.F16 or ElementType.BF16;

    /// <summary>Finds the type that safetensors calls <paramref name="name"/> (case matters).</summary>
    public static bool TryParse(string name, out ElementType type)
    {
        foreach (var row in Rows)
        {
            if (row.Name == name)
            {
                type = row.Type;
                return true;
            }
        }

        type = default;
        return false;
    }
}

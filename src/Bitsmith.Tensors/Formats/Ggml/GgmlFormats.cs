using System.Diagnostics.CodeAnalysis;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml.Types;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>All <see cref="GgmlFormat"/>s.</summary>
public static class GgmlFormats
{
    // The single place to add a type.
    private static readonly GgmlFormat[] Rows =
    [
        new FloatFormat(GgmlType.F32, ElementType.F32), new FloatFormat(GgmlType.F16, ElementType.F16), new FloatFormat(GgmlType.BF16, ElementType.BF16),
        new Q8_0(), new Q4_0(), new Q4_1(), new Q5_0(), new Q5_1(),
        new Q2_K(), new Q3_K(), new Q4_K(), new Q5_K(), new Q6_K(), new Q8_K(),
        new IQ1_S(), new IQ1_M(), new IQ2_XXS(), new IQ2_XS(), new IQ2_S(), new IQ3_XXS(), new IQ3_S(), new IQ4_NL(), new IQ4_XS(),
        new MXFP4(), new NVFP4(), new TQ1_0(), new TQ2_0(), new Q1_0(), new Q2_0(),
    ];

    private static readonly Dictionary<GgmlType, GgmlFormat> ByType = Rows.ToDictionary(format => format.Type);
    private static readonly Dictionary<string, GgmlFormat> ByName = Rows.ToDictionary(format => format.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>Every format; a fixed order.</summary>
    public static IReadOnlyList<GgmlFormat> All => Rows;

    /// <summary>The names of all formats, for error messages.</summary>
    public static string KnownNames { get; } = string.Join(", ", Rows.Select(format => format.Name));

    /// <summary>The format of a type.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is no type of <see cref="GgmlType"/>.</exception>
    public static GgmlFormat Of(GgmlType type) => ByType.TryGetValue(type, out GgmlFormat? format)
        ? format
        : throw new ArgumentOutOfRangeException(nameof(type), type, $"There is no such tensor type; known are {KnownNames}.");

    /// <summary>Finds the format of the number that a file states; false where it is unknown.</summary>
    public static bool TryGet(int number, [NotNullWhen(true)] out GgmlFormat? format) =>
        ByType.TryGetValue((GgmlType)number, out format);

    /// <summary>Finds a format by its name, in any case; false where it is unknown.</summary>
    public static bool TryParse(string name, [NotNullWhen(true)] out GgmlFormat? format) =>
        ByName.TryGetValue(name, out format);
}

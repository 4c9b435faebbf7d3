using Bitsmith.Tensors.Formats.Ggml;
using static Bitsmith.Tensors.Formats.Ggml.GgmlType;

namespace Bitsmith.Quantization.Allocation;

/// <summary>Which types a tensor may take.</summary>
public static class TypeMenu
{
    /// <summary>Types that are worth a choice: all of ggml's but those that no release uses for weights, by ascending bits.</summary>
    public static IReadOnlyList<GgmlType> All { get; } =
        [.. new[] { IQ1_S, IQ1_M, IQ2_XXS, Q2_0, IQ2_XS, IQ2_S, Q2_K, IQ3_XXS, IQ3_S, Q3_K, IQ4_XS, MXFP4, NVFP4, IQ4_NL, Q4_0, Q4_K, Q4_1, Q5_0, Q5_K, Q5_1, Q6_K, Q8_0 }.OrderBy(type => GgmlFormats.Of(type).BitsPerWeight)];

    /// <summary>The candidates of the method that release 001 was made with.</summary>
    public static IReadOnlyList<GgmlType> WeightError { get; } = [IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, Q2_K, IQ3_XXS, Q3_K, IQ4_XS, IQ4_NL, Q4_K, Q5_K, Q6_K, Q8_0];

    /// <summary>True for types that are hardly of use where nothing is known of the inputs.</summary>
    public static bool NeedsImportance(GgmlType type) => type is IQ1_S or IQ1_M or IQ2_XXS or IQ2_XS or IQ2_S or IQ3_XXS or IQ3_S or IQ4_XS or IQ4_NL;

    /// <summary>The types of a menu whose blocks divide a row.</summary>
    /// <param name="menu">The types.</param>
    /// <param name="columns">Columns of the tensor.</param>
    /// <param name="hasImportance">The inputs are known.</param>
    public static IEnumerable<GgmlType> Of(IEnumerable<GgmlType> menu, long columns, bool hasImportance) =>
        menu.Where(type => columns % GgmlFormats.Of(type).BlockValues == 0 && (hasImportance || !NeedsImportance(type)));
}

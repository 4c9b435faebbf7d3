using Bitsmith.Checkpoints.CompressedTensors;

namespace Bitsmith.Quantization.Recipes;

/// <summary>Schemes with a name.</summary>
public static class Presets
{
    // Bitsmith's own name, llm-compressor's name (null where it has none), block side.
    private static readonly (string Name, string? LibraryName, int Block, string Summary)[] Rows =
    [
        ("fp8-block", "FP8_BLOCK", 128, "FP8 E4M3 weights in 128x128 blocks, activations per 128 features at run time"),
        ("fp8-block-32", null, 32, "FP8 E4M3 weights in 32x32 blocks, for expert widths that 128 does not divide across GPUs"),
    ];

    /// <summary>Names and one-line descriptions.</summary>
    public static IReadOnlyList<(string Name, string Summary)> All { get; } = [.. Rows.Select(row => (row.Name, row.Summary))];

    /// <summary>The recipe of a preset: every Linear of the decoder; the head, the vision tower and MTP layers stay as they are.</summary>
    /// <exception cref="RecipeException">There is no such preset.</exception>
    public static Recipe Get(string name)
    {
        foreach (var row in Rows)
        {
            if (string.Equals(row.Name, name, StringComparison.OrdinalIgnoreCase))
            {
                return new Recipe(row.Name, [Group(row.Block)], []) { IsPreset = true };
            }
        }

        throw new RecipeException($"there is no scheme '{name}'. Known are {string.Join(", ", Rows.Select(row => row.Name))}.");
    }

    /// <summary>The group that a recipe file means by <c>scheme: NAME</c>, with llm-compressor's names.</summary>
    internal static RecipeGroup ByLibraryName(string name, string place)
    {
        foreach (var row in Rows)
        {
            if (row.LibraryName is not null && string.Equals(row.LibraryName, name, StringComparison.OrdinalIgnoreCase))
            {
                return Group(row.Block);
            }
        }

        throw new RecipeException($"{place}: scheme '{name}' is not available. Available are {string.Join(", ", Rows.Select(row => row.LibraryName).OfType<string>())}; other block sizes go under config_groups.");
    }

    private static RecipeGroup Group(int block) => new(["Linear"], FloatBlockWeights(block, block), DynamicGroupActivations(128));

    private static QuantizationArgs FloatBlockWeights(int rows, int columns) => new()
    {
        NumBits = 8,
        Type = "float",
        Strategy = "block",
        BlockStructure = [rows, columns],
        Observer = "memoryless_minmax",
    };

    private static QuantizationArgs DynamicGroupActivations(int groupSize) => new()
    {
        NumBits = 8,
        Type = "float",
        Strategy = "group",
        GroupSize = groupSize,
        Dynamic = "true",
    };
}

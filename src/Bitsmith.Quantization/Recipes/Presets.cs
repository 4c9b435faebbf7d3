using Bitsmith.Checkpoints.CompressedTensors;

namespace Bitsmith.Quantization.Recipes;

/// <summary>Schemes with a name.</summary>
public static class Presets
{
    /// <summary>The group size of 4-bit integers where nothing is said.</summary>
    public const int DefaultGroupSize = 128;

    // Bitsmith's own name, llm-compressor's name (null where it has none), the group, what it is.
    private static readonly (string Name, string? LibraryName, RecipeGroup Group, string Summary)[] Rows =
    [
        ("fp8-block", "FP8_BLOCK", Fp8(128), "FP8 E4M3 weights in 128x128 blocks, activations per 128 features at run time"),
        ("fp8-block-32", null, Fp8(32), "FP8 E4M3 weights in 32x32 blocks, for expert widths that 128 does not divide across GPUs"),
        ("w4a16", "W4A16", Int4(DefaultGroupSize), "4-bit integer weights in groups of 128, or --group-size 32 or 64; activations stay exact"),
        ("w4a16-asym", "W4A16_ASYM", Int4(DefaultGroupSize, symmetric: false), "as w4a16, with a zero point for each group"),
        ("nvfp4a16", "NVFP4A16", NvFp4(null), "NVFP4 weights; activations stay exact"),
        ("nvfp4", "NVFP4", NvFp4(LocalActivations), "NVFP4 weights and activations; needs the inputs' ranges from calibration"),
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
                return new Recipe(row.Name, [row.Group], []) { IsPreset = true };
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
                return row.Group;
            }
        }

        throw new RecipeException($"{place}: scheme '{name}' is not available. Available are {string.Join(", ", Rows.Select(row => row.LibraryName).OfType<string>())}; other block and group sizes go under config_groups.");
    }

    /// <summary>The recipe with another group size for its 4-bit integers.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="groupSize">Columns that share a scale.</param>
    /// <exception cref="RecipeException">The recipe has no such weights, or the size is not available.</exception>
    public static Recipe WithGroupSize(Recipe recipe, int groupSize)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        if (!recipe.Groups.Any(IsInt4))
        {
            throw new RecipeException($"{recipe.Source}: --group-size {groupSize} has no meaning here; it is for 4-bit integers (w4a16, w4a16-asym).");
        }

        RecipeGroup[] groups = [.. recipe.Groups.Select(group => IsInt4(group) ? group with { Weights = group.Weights with { GroupSize = groupSize } } : group)];
        Array.ForEach(groups, group => group.Validate($"{recipe.Source} with --group-size"));
        return recipe with { Groups = groups };

        static bool IsInt4(RecipeGroup group) => group.Weights is { NumBits: 4, Type: "int" };
    }

    private static QuantizationArgs LocalActivations => new()
    {
        NumBits = 4,
        Type = "float",
        Strategy = "tensor_group",
        GroupSize = 16,
        Dynamic = "local",
        ScaleDtype = "torch.float8_e4m3fn",
        Observer = "static_minmax",
    };

    private static RecipeGroup Fp8(int block) => new(["Linear"], FloatBlockWeights(block, block), DynamicGroupActivations(128));

    private static RecipeGroup Int4(int groupSize, bool symmetric = true) => new(["Linear"], new QuantizationArgs
    {
        NumBits = 4,
        Type = "int",
        Strategy = "group",
        GroupSize = groupSize,
        Symmetric = symmetric,
        ZeroPointDtype = symmetric ? null : RecipeGroup.ZeroPointType,
        Observer = "memoryless_minmax",
    }, null);

    private static RecipeGroup NvFp4(QuantizationArgs? activations) => new(["Linear"], new QuantizationArgs
    {
        NumBits = 4,
        Type = "float",
        Strategy = "tensor_group",
        GroupSize = 16,
        ScaleDtype = "torch.float8_e4m3fn",
        Observer = "memoryless_minmax",
    }, activations);

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

using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Planning;

/// <summary>
/// What transformers with compressed-tensors 0.17.1 cannot read although the bytes are right: its decompression drops the scheme and guesses
/// the layout from the scale's shape, and its activation quantization needs whole groups.
/// </summary>
public static class ClientLimits
{
    /// <summary>Why the client misreads a weight, or null where it reads it well.</summary>
    /// <param name="weight">The weight [out features, in features].</param>
    /// <param name="group">Its scheme.</param>
    public static string? WhyTransformersMisreads(TensorInfo weight, RecipeGroup group)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(group);
        return WhyActivationsDoNotDivide(weight.Shape[1], group) ?? (HasGuessedLayout(group) ? WhyLayoutIsMisguessed(weight.Shape[0], weight.Shape[1], group.Block) : null);
    }

    /// <summary>Activation quantization needs whole groups along the input features.</summary>
    internal static string? WhyActivationsDoNotDivide(long columns, RecipeGroup group) =>
        group.InputActivations is { GroupSize: int size } && columns % size != 0
            ? $"{columns} input features do not divide into activation groups of {size}: transformers raises in forward"
            : null;

    /// <summary>True for the scheme whose layout the client guesses.</summary>
    internal static bool HasGuessedLayout(RecipeGroup group) => group.Weights.Strategy == "block";

    /// <summary>
    /// The guess: one scale column and several rows mean one scale for each channel; one scale row means groups along the
    /// columns; otherwise the block is rows / scale rows by columns / scale columns, rounded down.
    /// </summary>
    internal static string? WhyLayoutIsMisguessed(long rows, long columns, BlockShape block)
    {
        (int scaleRows, int scaleColumns) = block.GridOf(rows, columns);
        if (scaleRows == 1)
        {
            return columns % scaleColumns == 0 && (scaleColumns == 1 || columns / scaleColumns == block.Columns)
                ? null
                : $"{columns} columns in {scaleColumns} scales: transformers guesses groups of {columns / scaleColumns} instead of {block.Columns}";
        }

        if (scaleColumns == 1)
        {
            return $"one scale column: transformers takes the {scaleRows} scales for one per row of {rows} and raises";
        }

        (long height, long width) = (rows / scaleRows, columns / scaleColumns);
        return height == block.Rows && width == block.Columns && rows % height == 0 && columns % width == 0
            ? null
            : $"[{rows}, {columns}] is not a whole number of {block} blocks: transformers guesses blocks of {height}x{width}";
    }
}

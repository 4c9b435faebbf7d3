using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>Checks of what is given to formats of groups.</summary>
internal static class GroupShape
{
    public static void Check(ElementType type, int rows, int columns, int groupSize)
    {
        if (!type.IsWeightFloat())
        {
            throw new ArgumentException($"Weights in groups are F32, F16 or BF16, not {type.SafetensorsName()}.", nameof(type));
        }

        if (groupSize <= 0 || groupSize % LaneMath.Width != 0 || rows <= 0 || columns <= 0 || columns % groupSize != 0)
        {
            throw new ArgumentException($"{rows} rows of {columns} columns do not divide into groups of {groupSize}; a group is a multiple of {LaneMath.Width}.", nameof(groupSize));
        }
    }

    public static void CheckEncoding(
        WeightEncoder encoder, int weightBytes, int rows, int columns, int groupSize, int scaleBytes, int weights, int packed, int scales, int libraryErrors)
    {
        if (groupSize > GroupEncoding.MostColumns)
        {
            throw new ArgumentException($"A group has at most {GroupEncoding.MostColumns} columns, not {groupSize}.", nameof(groupSize));
        }

        long values = (long)rows * columns;
        Require(weights == values * weightBytes, nameof(weights));
        Require(packed == values / 2, nameof(packed));
        Require(scales == values / groupSize * scaleBytes, nameof(scales));
        Require(libraryErrors == (encoder == WeightEncoder.Best ? rows : 0), nameof(libraryErrors));
    }

    public static void CheckDecoding(int packed, int scales, int weights, int groupSize, int scaleBytes)
    {
        Require(packed == weights / 2, nameof(packed));
        Require(scales == (long)weights / groupSize * scaleBytes, nameof(scales));
    }

    private static void Require(bool condition, string parameter)
    {
        if (!condition)
        {
            throw new ArgumentException("The length does not fit the shape.", parameter);
        }
    }
}

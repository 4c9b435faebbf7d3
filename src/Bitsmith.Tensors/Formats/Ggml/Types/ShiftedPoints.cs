using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>The points of the ternary grid, shifted by an eighth, in eighths.</summary>
internal static class ShiftedPoints
{
    private static readonly ulong[] Up = Words(1), Down = Words(-1);

    /// <summary>Eight signed bytes, the first lowest: 8 · coordinate + 1, or - 1.</summary>
    public static ulong Eighths(int point, bool down) => (down ? Down : Up)[point];

    private static ulong[] Words(int shift) =>
        [.. Enumerable.Range(0, Grid.Iq1.Count).Select(point => Grid.Iq1.Point(point).ToArray().Reverse().Aggregate(0UL, (word, value) => (word << 8) | (byte)(sbyte)((8 * (int)value) + shift)))];
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Blocks of one group with a scale and an offset of its own, both stored as binary16.</summary>
internal static class AffineBlocks<TLanes>
    where TLanes : struct, ILanes16<TLanes>
{
    private const int Width = LaneMath.Width, Rounds = 4;

    /// <summary>Encodes blocks.</summary>
    /// <param name="search">The codes, and the search of a group on its own.</param>
    /// <param name="lanes">The blocks.</param>
    /// <param name="values">The weights, in their order.</param>
    /// <param name="scales">Receives the scale of each block, as stored.</param>
    /// <param name="offsets">Receives the offset of each block, as stored.</param>
    /// <param name="codes">Receives the code of each weight.</param>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    public static void Encode(
        AffineSearch search, in LaneGroups lanes, ReadOnlySpan<float> values, Span<float> scales, Span<float> offsets, Span<byte> codes)
    {
        int size = lanes.Size;
        Span<float> laneValues = lanes.Values;
        (TLanes low, TLanes high) = AffineSearch.Range<TLanes>(lanes);

        // From the lowest weight on, so that an offset far from zero takes no digits from the sums.
        for (int i = 0; i < laneValues.Length; i += Width)
        {
            TLanes.Store32(TLanes.SubtractF(TLanes.Load32(in laneValues[i]), low), ref laneValues[i]);
        }

        Search(search, lanes, low, high, out TLanes scale, out TLanes offset);
        Span<float> laneScales = stackalloc float[Width], laneOffsets = stackalloc float[Width];
        TLanes.Store32(scale, ref laneScales[0]);
        TLanes.Store32(offset, ref laneOffsets[0]);
        for (int block = 0; block < scales.Length; block++)
        {
            (scales[block], offsets[block]) = (laneScales[block] * lanes.Units[block], laneOffsets[block] * lanes.Units[block]);
            AffineCodes.Write<TLanes>(values.Slice(block * size, size), scales[block], offsets[block], search.Highest, codes.Slice(block * size, size));
        }
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static void Search(AffineSearch search, in LaneGroups lanes, TLanes low, TLanes high, out TLanes scale, out TLanes offset)
    {
        AffineSums<TLanes> sums = new(lanes, search.Highest);
        search.Find(sums, TLanes.Broadcast(0), TLanes.SubtractF(high, low), negativeOffset: false, out scale, out offset, out _);
        TLanes units = TLanes.Load32(in lanes.Units[0]), least = LaneMath.Single<TLanes>(float.PositiveInfinity);
        offset = Stored(TLanes.AddF(offset, low), units);
        TLanes inner = TLanes.SubtractF(offset, low), next = Stored(scale, units);
        for (int round = 0; round <= Rounds; round++)
        {
            sums.Sum(HalfScale.Inverse(next), inner, out TLanes code, out TLanes square, out TLanes product);
            TLanes error = sums.Error(next, inner, code, square, product), less = TLanes.LessF(error, least);
            (scale, least) = (TLanes.Select(less, next, scale), TLanes.Select(less, error, least));
            next = TLanes.Select(less, Stored(AffineSums<TLanes>.ScaleFor(inner, code, square, product), units), next);
        }
    }

    private static TLanes Stored(TLanes value, TLanes units) => TLanes.DivideF(HalfScale.Round(TLanes.MultiplyF(value, units)), units);
}

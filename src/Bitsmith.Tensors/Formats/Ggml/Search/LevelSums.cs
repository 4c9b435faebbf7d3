using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>What sixteen groups of weights lose at given scales, and their codes there.</summary>
internal static class LevelSums<TLanes, TLevels>
    where TLanes : struct, ILanes16<TLanes>
    where TLevels : struct, ILevels
{
    private const int Width = LaneMath.Width;

    /// <summary>Sums w x q and w q^2 of each group, where q is the level nearest to x times the inverse scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Of(in LaneGroups lanes, TLanes inverse, out TLanes product, out TLanes square)
    {
        ref float x = ref MemoryMarshal.GetReference(lanes.Values), w = ref MemoryMarshal.GetReference(lanes.Weights);
        TLanes sumProduct = TLanes.Broadcast(0), sumSquare = sumProduct;
        for (int i = 0; i < lanes.Values.Length; i += Width)
        {
            TLanes value = TLanes.Load32(in Unsafe.Add(ref x, i)), level = TLevels.Nearest(TLanes.MultiplyF(value, inverse));
            TLanes weighted = TLanes.MultiplyF(TLanes.Load32(in Unsafe.Add(ref w, i)), level);
            sumProduct = TLanes.AddF(sumProduct, TLanes.MultiplyF(weighted, value));
            sumSquare = TLanes.AddF(sumSquare, TLanes.MultiplyF(weighted, level));
        }

        (product, square) = (sumProduct, sumSquare);
    }

    /// <summary>The error at a scale, less sum w x^2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Error(TLanes scale, TLanes product, TLanes square) =>
        TLanes.MultiplyF(scale, TLanes.SubtractF(TLanes.MultiplyF(scale, square), TLanes.AddF(product, product)));

    /// <summary>The code of each weight of one group at a scale.</summary>
    public static void WriteCodes(ReadOnlySpan<float> values, float scale, Span<byte> codes)
    {
        TLanes inverse = LaneMath.Single<TLanes>(HalfScale.Inverse(scale));
        for (int i = 0; i < values.Length; i += Width)
        {
            TLanes.Store8(TLevels.Code(TLanes.MultiplyF(TLanes.Load32(in values[i]), inverse)), ref codes[i]);
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Weights that are quantized one by one to the levels of <typeparamref name="TLevels"/>.</summary>
internal readonly struct LevelGroups<TLevels> : IScaledGroups
    where TLevels : struct, ILevels
{
    private const int Width = LaneMath.Width;

    public static bool SignedScales => true;

    public static ReadOnlySpan<float> Places => TLevels.Places;

    public static int Rounds => TLevels.Rounds;

    [MethodImpl(LaneGroups.Kernel)]
    public static void Sum<TLanes>(in LaneGroups lanes, TLanes inverse, out TLanes product, out TLanes square)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float x = ref MemoryMarshal.GetReference(lanes.Values), w = ref MemoryMarshal.GetReference(lanes.Weights);
        TLanes sumProduct = TLanes.Broadcast(0), sumSquare = sumProduct;
        for (int i = 0; i < lanes.Values.Length; i += Width)
        {
            TLanes value = TLanes.Load32(in Unsafe.Add(ref x, i)), level = TLevels.Nearest(value, inverse);
            TLanes weighted = TLanes.MultiplyF(TLanes.Load32(in Unsafe.Add(ref w, i)), level);
            sumProduct = TLanes.FusedF(weighted, value, sumProduct);
            sumSquare = TLanes.FusedF(weighted, level, sumSquare);
        }

        (product, square) = (sumProduct, sumSquare);
    }

    /// <summary>Writes the code of each weight of one group at a scale.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    public static void WriteCodes<TLanes>(ReadOnlySpan<float> values, float scale, Span<byte> codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes inverse = LaneMath.Single<TLanes>(HalfScale.Inverse(scale));
        for (int i = 0; i < values.Length; i += Width)
        {
            TLanes.Store8(TLevels.Code(TLanes.Load32(in values[i]), inverse), ref codes[i]);
        }
    }
}

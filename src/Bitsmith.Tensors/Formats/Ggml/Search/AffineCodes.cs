using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The codes of a group at the scale and the offset that are stored.</summary>
internal static class AffineCodes
{
    [MethodImpl(LaneGroups.Kernel)]
    public static void Write<TLanes>(ReadOnlySpan<float> values, float scale, float offset, int highest, Span<byte> codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes inverse = LaneMath.Single<TLanes>(HalfScale.Inverse(scale)), start = TLanes.MultiplyF(LaneMath.Single<TLanes>(-offset), inverse);
        for (int i = 0; i < values.Length; i += LaneMath.Width)
        {
            TLanes.Store8(IntegerLevels.ToInteger(IntegerLevels.Nearest(TLanes.Load32(in values[i]), inverse, start, highest)), ref codes[i]);
        }
    }
}

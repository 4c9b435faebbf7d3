using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The unit of a block's scales, one candidate to a lane.</summary>
internal static class UnitScan
{
    // The extreme scale stands for between 60 % and 110 % of the largest factor.
    private const int Steps = 48;
    private static readonly float[] Reaches = [.. Enumerable.Range(0, Steps).Select(step => 1 / (0.6f + (0.5f * step / (Steps - 1))))];

    /// <summary>
    /// The d, as stored, for which the scales that groups want are nearest to multiples that codes can state: each group's error grows with the square of the distance,
    /// times its sum w q^2.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Find<TLanes>(ReadOnlySpan<float> wanted, ReadOnlySpan<float> squares, float unit, ScaleCodes codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        float extreme = 0;
        foreach (float scale in wanted)
        {
            extreme = Math.Abs(scale) > Math.Abs(extreme) ? scale : extreme;
        }

        TLanes toReal = LaneMath.Single<TLanes>(unit), toBlock = LaneMath.Single<TLanes>(1 / unit);
        TLanes lowest = LaneMath.Single<TLanes>(codes.Lowest), highest = LaneMath.Single<TLanes>(codes.Highest);
        TLanes offset = LaneMath.Single<TLanes>(codes.Offset), step = LaneMath.Single<TLanes>(codes.Step), inverseStep = LaneMath.Single<TLanes>(1 / codes.Step);
        TLanes best = TLanes.Broadcast(0), least = LaneMath.Single<TLanes>(float.PositiveInfinity);
        for (int end = codes.Lowest < 0 ? 0 : 1; end < 2; end++)
        {
            TLanes widest = LaneMath.Single<TLanes>(extreme / codes.Factor(end == 0 ? codes.Lowest : codes.Highest));
            for (int start = 0; start < Steps; start += LaneMath.Width)
            {
                TLanes d = TLanes.MultiplyF(widest, TLanes.Load32(in Reaches[start]));
                d = TLanes.MultiplyF(HalfScale.Round(TLanes.MultiplyF(d, toReal)), toBlock);
                TLanes inverse = TLanes.MultiplyF(HalfScale.Inverse(d), inverseStep), loss = TLanes.Broadcast(0);
                for (int group = 0; group < wanted.Length; group++)
                {
                    TLanes scale = LaneMath.Single<TLanes>(wanted[group]);
                    TLanes code = TLanes.SubtractF(TLanes.MultiplyF(scale, inverse), offset);
                    code = IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(code, lowest), highest));
                    TLanes factor = TLanes.MultiplyF(TLanes.AddF(code, offset), step);
                    TLanes distance = TLanes.SubtractF(scale, TLanes.MultiplyF(d, factor));
                    loss = TLanes.AddF(loss, TLanes.MultiplyF(TLanes.MultiplyF(distance, distance), LaneMath.Single<TLanes>(squares[group])));
                }

                TLanes less = TLanes.LessF(loss, least);
                (best, least) = (TLanes.Select(less, d, best), TLanes.Select(less, loss, least));
            }
        }

        Span<float> candidates = stackalloc float[LaneMath.Width], losses = stackalloc float[LaneMath.Width];
        TLanes.Store32(best, ref MemoryMarshal.GetReference(candidates));
        TLanes.Store32(least, ref MemoryMarshal.GetReference(losses));
        int lane = 0;
        for (int i = 1; i < LaneMath.Width; i++)
        {
            lane = losses[i] < losses[lane] ? i : lane;
        }

        return candidates[lane];
    }
}

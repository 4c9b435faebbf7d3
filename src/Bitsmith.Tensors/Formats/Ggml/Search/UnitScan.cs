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

    /// <summary>How many starting points there are to choose from, one for each part of the range of candidates.</summary>
    public const int Starts = Steps / LaneMath.Width;

    /// <summary>
    /// The d, as stored, for which the scales that groups want are nearest to multiples that codes can state: each group's error grows with the square of the distance,
    /// times its sum w q^2.
    /// </summary>
    public static float Find<TLanes>(ReadOnlySpan<float> wanted, ReadOnlySpan<float> squares, float unit, ScaleCodes codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> starts = stackalloc float[Starts];
        return starts[Find<TLanes>(wanted, squares, unit, codes, starts)];
    }

    /// <summary>As the other, with the best d of each part of the range in <paramref name="starts"/>; returns the number of the best of all.</summary>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    public static int Find<TLanes>(ReadOnlySpan<float> wanted, ReadOnlySpan<float> squares, float unit, ScaleCodes codes, Span<float> starts)
        where TLanes : struct, ILanes16<TLanes>
    {
        float extreme = 0;
        foreach (float scale in wanted)
        {
            extreme = Math.Abs(scale) > Math.Abs(extreme) ? scale : extreme;
        }

        TLanes toReal = LaneMath.Single<TLanes>(unit), toBlock = LaneMath.Single<TLanes>(1 / unit);
        int choice = 0;
        float lossOfAll = float.PositiveInfinity;
        for (int start = 0; start < Steps; start += LaneMath.Width)
        {
            TLanes best = TLanes.Broadcast(0), least = LaneMath.Single<TLanes>(float.PositiveInfinity);
            for (int end = codes.Lowest < 0 ? 0 : 1; end < 2; end++)
            {
                TLanes widest = LaneMath.Single<TLanes>(extreme / codes.Factor(end == 0 ? codes.Lowest : codes.Highest));
                TLanes d = TLanes.MultiplyF(widest, TLanes.Load32(in Reaches[start]));
                d = TLanes.MultiplyF(HalfScale.Round(TLanes.MultiplyF(d, toReal)), toBlock);
                TLanes loss = codes is { Offset: 0, Step: 1 } ? IntegerLoss(wanted, squares, d, codes) : Loss(wanted, squares, d, codes), less = TLanes.LessF(loss, least);
                (best, least) = (TLanes.Select(less, d, best), TLanes.Select(less, loss, least));
            }

            int part = start / LaneMath.Width;
            (starts[part], float lossOfPart) = Least(best, least);
            (choice, lossOfAll) = lossOfPart < lossOfAll ? (part, lossOfPart) : (choice, lossOfAll);
        }

        return choice;
    }

    /// <summary>The loss of each d where codes stand for multiples with a step and an offset.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes Loss<TLanes>(ReadOnlySpan<float> wanted, ReadOnlySpan<float> squares, TLanes d, in ScaleCodes codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes lowest = LaneMath.Single<TLanes>(codes.Lowest), highest = LaneMath.Single<TLanes>(codes.Highest);
        TLanes offset = LaneMath.Single<TLanes>(codes.Offset), step = LaneMath.Single<TLanes>(codes.Step), inverseStep = LaneMath.Single<TLanes>(1 / codes.Step);
        TLanes inverse = TLanes.MultiplyF(HalfScale.Inverse(d), inverseStep), loss = TLanes.Broadcast(0);
        for (int group = 0; group < wanted.Length; group++)
        {
            TLanes scale = LaneMath.Single<TLanes>(wanted[group]);
            TLanes code = TLanes.SubtractF(TLanes.MultiplyF(scale, inverse), offset);
            code = IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(code, lowest), highest));
            TLanes distance = TLanes.SubtractF(scale, TLanes.MultiplyF(d, TLanes.MultiplyF(TLanes.AddF(code, offset), step)));
            loss = TLanes.AddF(loss, TLanes.MultiplyF(TLanes.MultiplyF(distance, distance), LaneMath.Single<TLanes>(squares[group])));
        }

        return loss;
    }

    /// <summary>As <see cref="Loss"/> where codes stand for themselves; the same bits.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes IntegerLoss<TLanes>(ReadOnlySpan<float> wanted, ReadOnlySpan<float> squares, TLanes d, in ScaleCodes codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes lowest = LaneMath.Single<TLanes>(codes.Lowest), highest = LaneMath.Single<TLanes>(codes.Highest), inverse = HalfScale.Inverse(d), loss = TLanes.Broadcast(0);
        squares = squares[..wanted.Length];
        for (int group = 0; group < wanted.Length; group++)
        {
            TLanes scale = LaneMath.Single<TLanes>(wanted[group]);
            TLanes code = IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(TLanes.MultiplyF(scale, inverse), lowest), highest));
            TLanes distance = TLanes.SubtractF(scale, TLanes.MultiplyF(d, code));
            loss = TLanes.AddF(loss, TLanes.MultiplyF(TLanes.MultiplyF(distance, distance), LaneMath.Single<TLanes>(squares[group])));
        }

        return loss;
    }

    /// <summary>The candidate of least loss, the first of several. Losses are no NaN and not negative, so that their bits have their order.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static (float D, float Loss) Least<TLanes>(TLanes candidates, TLanes losses)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> d = stackalloc float[LaneMath.Width], loss = stackalloc float[LaneMath.Width];
        TLanes.Store32(candidates, ref MemoryMarshal.GetReference(d));
        TLanes.Store32(losses, ref MemoryMarshal.GetReference(loss));
        float least = BitConverter.UInt32BitsToSingle(~TLanes.MaxLane(losses ^ TLanes.Broadcast(uint.MaxValue)));
        int lane = 0;
        while (loss[lane] != least)
        {
            lane++;
        }

        return (d[lane], least);
    }
}

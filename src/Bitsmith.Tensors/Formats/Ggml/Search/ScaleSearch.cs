using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Groups of weights and the levels they may take, up to a scale for each group.</summary>
internal interface IScaledGroups
{
    /// <summary>Whether scales can be negative.</summary>
    static abstract bool SignedScales { get; }

    /// <summary>The levels, and what lies between and beyond, at which a search puts the weight of largest magnitude.</summary>
    static abstract ReadOnlySpan<float> Places { get; }

    /// <summary>How often assignment and least squares alternate at the end of a search.</summary>
    static abstract int Rounds { get; }

    /// <summary>Sums w x q and w q^2 of each group, where the levels q are the best for x times the inverse scale.</summary>
    static abstract void Sum<TLanes>(in LaneGroups lanes, TLanes inverse, out TLanes product, out TLanes square)
        where TLanes : struct, ILanes16<TLanes>;
}

/// <summary>
/// Chooses the scale d of each block, stored as binary16, and a scale code for each of its groups, so that the weighted squared error is small. Each group is
/// first searched on its own; d is scanned against the groups' own best scales; then assignment and least squares alternate over the whole block with the
/// stored, rounded values.
/// </summary>
internal static class ScaleSearch<TLanes, TGroups>
    where TLanes : struct, ILanes16<TLanes>
    where TGroups : struct, IScaledGroups
{
    private const int Width = LaneMath.Width, GroupRounds = 2;

    /// <summary>Searches blocks of one group.</summary>
    /// <param name="lanes">The blocks.</param>
    /// <param name="scales">Receives the scale of each block, as stored.</param>
    [SkipLocalsInit]
    public static void Find(in LaneGroups lanes, Span<float> scales)
    {
        Span<float> stored = stackalloc float[Width];
        FindGroups(lanes, 0, out TLanes scale, out _);
        TLanes.Store32(TLanes.MultiplyF(StoredScale(lanes, scale), TLanes.Load32(in lanes.Units[0])), ref stored[0]);
        stored[..scales.Length].CopyTo(scales);
    }

    /// <summary>Searches blocks of several groups.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="codes">The scale codes of a group.</param>
    /// <param name="d">Receives d of each block, as stored.</param>
    /// <param name="chosen">Receives the scale code of each group.</param>
    /// <param name="steps">Receives the scale of each of sixteen groups: d times the factor of its code.</param>
    [SkipLocalsInit]
    public static void Find(in LaneGroups lanes, ScaleCodes codes, Span<float> d, Span<int> chosen, Span<float> steps)
    {
        Span<float> blockScales = stackalloc float[Width], factors = stackalloc float[Width];
        Search(lanes, codes, blockScales, factors);
        steps.Clear();
        for (int group = 0; group < lanes.Count; group++)
        {
            float stored = blockScales[group] * lanes.Units[group];
            d[group / lanes.GroupsInBlock] = stored;
            chosen[group] = (int)((factors[group] / codes.Step) - codes.Offset);
            steps[group] = stored * factors[group];
        }
    }

    [SkipLocalsInit]
    private static void Search(in LaneGroups lanes, ScaleCodes scaleCodes, Span<float> d, Span<float> factors)
    {
        FindGroups(lanes, GroupRounds, out TLanes scale, out TLanes square);
        Span<float> wanted = stackalloc float[Width], squares = stackalloc float[Width];
        TLanes.Store32(scale, ref wanted[0]);
        TLanes.Store32(square, ref squares[0]);
        d.Clear();
        for (int start = 0; start < lanes.Count; start += lanes.GroupsInBlock)
        {
            d.Slice(start, lanes.GroupsInBlock).Fill(UnitScan.Find<TLanes>(
                wanted.Slice(start, lanes.GroupsInBlock), squares.Slice(start, lanes.GroupsInBlock), lanes.Units[start], scaleCodes));
        }

        BlockRefinement.Run(new Assignment(lanes, scaleCodes, scale), lanes, d, factors);
    }

    /// <summary>The best scale of a block of one group, as stored: least squares from the group's own, rounded, as long as it gets better.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes StoredScale(in LaneGroups lanes, TLanes scale)
    {
        TLanes units = TLanes.Load32(in lanes.Units[0]), toBlock = TLanes.DivideF(LaneMath.Single<TLanes>(1), units), best = TLanes.Broadcast(0), least = best;
        for (int round = 0; round < TGroups.Rounds; round++)
        {
            TLanes stored = TLanes.MultiplyF(HalfScale.Round(TLanes.MultiplyF(scale, units)), toBlock);
            TGroups.Sum(lanes, HalfScale.Inverse(stored), out TLanes product, out TLanes square);
            TLanes error = Error(stored, product, square), less = TLanes.LessF(error, least);
            (best, least) = (TLanes.Select(less, stored, best), TLanes.Select(less, error, least));
            scale = TLanes.Select(less, TLanes.MultiplyF(product, HalfScale.Inverse(square)), stored);
        }

        return best;
    }

    /// <summary>The best scale of each group on its own, any real number, and sum w q^2 there.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="rounds">How often assignment and least squares alternate.</param>
    /// <param name="scale">Receives the scales.</param>
    /// <param name="square">Receives the sums.</param>
    [MethodImpl(LaneGroups.Kernel)]
    public static void FindGroups(in LaneGroups lanes, int rounds, out TLanes scale, out TLanes square)
    {
        TLanes extreme = Extreme(lanes), magnitude = extreme & TLanes.Broadcast(0x7FFF_FFFF);
        TLanes outward = HalfScale.Inverse(TGroups.SignedScales ? extreme : magnitude), gain = LaneMath.Single<TLanes>(-1);
        (scale, square) = (TLanes.Broadcast(0), TLanes.Broadcast(0));
        foreach (float place in TGroups.Places)
        {
            TGroups.Sum(lanes, TLanes.MultiplyF(outward, LaneMath.Single<TLanes>(place)), out TLanes product, out TLanes squared);
            Keep(product, squared, ref gain, ref scale, ref square);
        }

        for (int round = 0; round < rounds; round++)
        {
            TGroups.Sum(lanes, HalfScale.Inverse(scale), out TLanes product, out TLanes squared);
            Keep(product, squared, ref gain, ref scale, ref square);
        }
    }

    /// <summary>Takes over the scale of least squares where it takes more off sum w x^2 than what was best so far.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(TLanes product, TLanes squared, ref TLanes gain, ref TLanes scale, ref TLanes square)
    {
        TLanes solved = TLanes.MultiplyF(product, HalfScale.Inverse(squared)), other = TLanes.MultiplyF(solved, product), better = TLanes.LessF(gain, other);
        (gain, scale, square) = (TLanes.Select(better, other, gain), TLanes.Select(better, solved, scale), TLanes.Select(better, squared, square));
    }

    /// <summary>The error at a scale, less sum w x^2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Error(TLanes scale, TLanes product, TLanes square) =>
        TLanes.MultiplyF(scale, TLanes.SubtractF(TLanes.MultiplyF(scale, square), TLanes.AddF(product, product)));

    /// <summary>The weight of largest magnitude of each group, with its sign.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes Extreme(in LaneGroups lanes)
    {
        TLanes extreme = TLanes.Broadcast(0), largest = extreme, magnitude = TLanes.Broadcast(0x7FFF_FFFF);
        for (int i = 0; i < lanes.Values.Length; i += Width)
        {
            TLanes value = TLanes.Load32(in lanes.Values[i]), size = value & magnitude;
            extreme = TLanes.Select(TLanes.LessF(largest, size), value, extreme);
            largest = TLanes.MaxF(largest, size);
        }

        return extreme;
    }

    /// <summary>The best scale code of each group at a given d.</summary>
    private readonly ref struct Assignment(LaneGroups lanes, ScaleCodes codes, TLanes wanted) : IBlockAssignment
    {
        private readonly LaneGroups lanes = lanes;

        [MethodImpl(LaneGroups.Kernel)]
        public void Assign(
            bool again, scoped ReadOnlySpan<float> d, scoped Span<float> factors, scoped Span<float> errors, scoped Span<float> products, scoped Span<float> squares)
        {
            TLanes unit = TLanes.Load32(in d[0]), offset = LaneMath.Single<TLanes>(codes.Offset), step = LaneMath.Single<TLanes>(codes.Step);
            TLanes lowest = LaneMath.Single<TLanes>(codes.Lowest), highest = LaneMath.Single<TLanes>(codes.Highest);
            TLanes nearest = TLanes.MultiplyF(wanted, HalfScale.Inverse(TLanes.MultiplyF(unit, step)));
            nearest = IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(TLanes.SubtractF(nearest, offset), lowest), highest));
            TLanes least = LaneMath.Single<TLanes>(float.PositiveInfinity), factor = TLanes.Broadcast(0), bestProduct = factor, bestSquare = factor;
            for (int shift = again ? 0 : -1; shift <= (again ? 0 : 1); shift++)
            {
                TLanes code = TLanes.MinF(TLanes.MaxF(TLanes.AddF(nearest, LaneMath.Single<TLanes>(shift)), lowest), highest);
                TLanes trial = again ? TLanes.Load32(in factors[0]) : TLanes.MultiplyF(TLanes.AddF(code, offset), step), scale = TLanes.MultiplyF(unit, trial);
                TGroups.Sum(lanes, HalfScale.Inverse(scale), out TLanes product, out TLanes square);
                TLanes error = Error(scale, product, square);
                TLanes less = TLanes.LessF(error, least);
                (least, factor) = (TLanes.Select(less, error, least), TLanes.Select(less, trial, factor));
                (bestProduct, bestSquare) = (TLanes.Select(less, product, bestProduct), TLanes.Select(less, square, bestSquare));
            }

            TLanes.Store32(factor, ref factors[0]);
            TLanes.Store32(least, ref errors[0]);
            TLanes.Store32(TLanes.MultiplyF(bestProduct, factor), ref products[0]);
            TLanes.Store32(TLanes.MultiplyF(TLanes.MultiplyF(bestSquare, factor), factor), ref squares[0]);
        }
    }
}

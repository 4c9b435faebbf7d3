using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Chooses the scale d of each block, stored as binary16, and a scale code for each of its groups, so that the weighted squared error of weights that are
/// quantized one by one to the levels of <typeparamref name="TLevels"/> is small. Each group is first searched on its own; d is scanned against the groups' own
/// best scales; then codes and least squares alternate over the whole block with the stored, rounded values.
/// </summary>
internal static class LevelSearch<TLanes, TLevels>
    where TLanes : struct, ILanes16<TLanes>
    where TLevels : struct, ILevels
{
    private const int Width = LaneMath.Width, GroupRounds = 3;

    /// <summary>Encodes whole blocks of groups of <paramref name="groupSize"/> weights.</summary>
    /// <param name="values">The weights of at most sixteen groups.</param>
    /// <param name="weights">How much each counts.</param>
    /// <param name="groupSize">Weights in a group; a multiple of 16.</param>
    /// <param name="scaleCodes">The scale codes of a group.</param>
    /// <param name="scales">Receives d of each block, as stored.</param>
    /// <param name="chosen">Receives the scale code of each group.</param>
    /// <param name="codes">Receives the code of each weight.</param>
    [SkipLocalsInit]
    public static void Encode(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize, ScaleCodes scaleCodes, Span<float> scales, Span<int> chosen, Span<byte> codes)
    {
        int groups = values.Length / groupSize, groupsInBlock = groups / scales.Length;
        Span<float> laneValues = stackalloc float[groupSize * Width], laneWeights = stackalloc float[groupSize * Width];
        Span<float> units = stackalloc float[Width], d = stackalloc float[Width], factors = stackalloc float[Width];
        LaneGroups lanes = new(values, weights, groupSize, groupsInBlock, laneValues, laneWeights, units);
        Search(lanes, scaleCodes, d, factors);
        for (int group = 0; group < groups; group++)
        {
            float stored = d[group] * units[group];
            scales[group / groupsInBlock] = stored;
            chosen[group] = (int)((factors[group] / scaleCodes.Step) - scaleCodes.Offset);
            LevelSums<TLanes, TLevels>.WriteCodes(values.Slice(group * groupSize, groupSize), stored * factors[group], codes.Slice(group * groupSize, groupSize));
        }
    }

    [SkipLocalsInit]
    private static void Search(in LaneGroups lanes, ScaleCodes scaleCodes, Span<float> d, Span<float> factors)
    {
        Span<float> wanted = stackalloc float[Width], squares = stackalloc float[Width];
        FindGroups(lanes, wanted, squares);
        if (lanes.GroupsInBlock == 1)
        {
            TLanes units = TLanes.Load32(in lanes.Units[0]);
            TLanes.Store32(TLanes.DivideF(HalfScale.Round(TLanes.MultiplyF(TLanes.Load32(in wanted[0]), units)), units), ref d[0]);
        }
        else
        {
            d.Clear();
            for (int start = 0; start < lanes.Count; start += lanes.GroupsInBlock)
            {
                d.Slice(start, lanes.GroupsInBlock).Fill(UnitScan.Find<TLanes>(
                    wanted.Slice(start, lanes.GroupsInBlock), squares.Slice(start, lanes.GroupsInBlock), lanes.Units[start], scaleCodes));
            }
        }

        BlockRefinement.Run(new Assignment(lanes, scaleCodes, wanted), lanes, d, factors);
    }

    /// <summary>The best scale of each group on its own, any real number, and sum w q^2 there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FindGroups(in LaneGroups lanes, Span<float> scales, Span<float> squares)
    {
        TLanes outward = HalfScale.Inverse(Extreme(lanes)), gain = LaneMath.Single<TLanes>(-1), scale = TLanes.Broadcast(0), square = scale;
        foreach (float place in TLevels.Places)
        {
            LevelSums<TLanes, TLevels>.Of(lanes, TLanes.MultiplyF(outward, LaneMath.Single<TLanes>(place)), out TLanes product, out TLanes squared);
            Keep(product, squared, ref gain, ref scale, ref square);
        }

        for (int round = 0; round < GroupRounds; round++)
        {
            LevelSums<TLanes, TLevels>.Of(lanes, HalfScale.Inverse(scale), out TLanes product, out TLanes squared);
            Keep(product, squared, ref gain, ref scale, ref square);
        }

        TLanes.Store32(scale, ref scales[0]);
        TLanes.Store32(square, ref squares[0]);
    }

    /// <summary>Takes over the scale of least squares where it takes more off sum w x^2 than what was best so far.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(TLanes product, TLanes squared, ref TLanes gain, ref TLanes scale, ref TLanes square)
    {
        TLanes solved = TLanes.MultiplyF(product, HalfScale.Inverse(squared)), other = TLanes.MultiplyF(solved, product), better = TLanes.LessF(gain, other);
        (gain, scale, square) = (TLanes.Select(better, other, gain), TLanes.Select(better, solved, scale), TLanes.Select(better, squared, square));
    }

    /// <summary>The weight of largest magnitude of each group, with its sign.</summary>
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
    private readonly ref struct Assignment(LaneGroups lanes, ScaleCodes codes, ReadOnlySpan<float> wanted) : IBlockAssignment
    {
        private readonly LaneGroups lanes = lanes;
        private readonly ReadOnlySpan<float> wanted = wanted;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Assign(
            scoped ReadOnlySpan<float> d, scoped Span<float> factors, scoped Span<float> errors, scoped Span<float> products, scoped Span<float> squares)
        {
            TLanes unit = TLanes.Load32(in d[0]), offset = LaneMath.Single<TLanes>(codes.Offset), step = LaneMath.Single<TLanes>(codes.Step);
            TLanes lowest = LaneMath.Single<TLanes>(codes.Lowest), highest = LaneMath.Single<TLanes>(codes.Highest);
            TLanes nearest = TLanes.MultiplyF(TLanes.Load32(in wanted[0]), HalfScale.Inverse(TLanes.MultiplyF(unit, step)));
            nearest = IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(TLanes.SubtractF(nearest, offset), lowest), highest));
            TLanes least = LaneMath.Single<TLanes>(float.PositiveInfinity), factor = TLanes.Broadcast(0), bestProduct = factor, bestSquare = factor;
            int reach = codes.Lowest == codes.Highest ? 0 : 1;
            for (int shift = -reach; shift <= reach; shift++)
            {
                TLanes code = TLanes.MinF(TLanes.MaxF(TLanes.AddF(nearest, LaneMath.Single<TLanes>(shift)), lowest), highest);
                TLanes trial = TLanes.MultiplyF(TLanes.AddF(code, offset), step), scale = TLanes.MultiplyF(unit, trial);
                LevelSums<TLanes, TLevels>.Of(lanes, HalfScale.Inverse(scale), out TLanes product, out TLanes square);
                TLanes error = LevelSums<TLanes, TLevels>.Error(scale, product, square);
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

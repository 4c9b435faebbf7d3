using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Chooses what a block with scales and minima stores, x ~ d scale_g code - m minimum_g: d and m as binary16, integer scales and minima for each group.
/// Groups are first searched on their own; then d and m are scanned against the groups' best, and codes and least squares alternate over the whole
/// block with the stored, rounded values.
/// </summary>
internal static class MinimumSearch<TLanes>
    where TLanes : struct, ILanes16<TLanes>
{
    private const int Width = LaneMath.Width, Rounds = 4;

    /// <summary>Encodes blocks.</summary>
    /// <param name="search">The codes, and the search of a group on its own.</param>
    /// <param name="highestScale">The largest integer scale, and the largest minimum.</param>
    /// <param name="lanes">The groups.</param>
    /// <param name="values">The weights, in their order.</param>
    /// <param name="factors">Receives d and m of each block, as stored.</param>
    /// <param name="scales">Receives the scale of each group.</param>
    /// <param name="minima">Receives the minimum of each group.</param>
    /// <param name="codes">Receives the code of each weight.</param>
    [SkipLocalsInit]
    public static void Encode(
        AffineSearch search, int highestScale, in LaneGroups lanes, ReadOnlySpan<float> values,
        Span<(float D, float M)> factors, Span<int> scales, Span<int> minima, Span<byte> codes)
    {
        int groupSize = lanes.Size;
        Choice best = new(stackalloc float[5 * Width]), trial = new(stackalloc float[5 * Width]);
        Span<float> signs = stackalloc float[Width];
        Turn(lanes, signs);
        new Search(search, highestScale, lanes).Run(best, trial);
        for (int group = 0; group < scales.Length; group++)
        {
            float unit = lanes.Units[group] * signs[group], d = best.D[group] * unit, m = best.M[group] * unit;
            factors[group / lanes.GroupsInBlock] = (d, m);
            (scales[group], minima[group]) = ((int)best.Scales[group], (int)best.Minima[group]);
            AffineCodes.Write<TLanes>(
                values.Slice(group * groupSize, groupSize), d * scales[group], -(m * minima[group]), search.Highest, codes.Slice(group * groupSize, groupSize));
        }
    }

    /// <summary>
    /// Offsets can only be of one sign, that of -m. Where more groups lie above zero than below, the mirrored block is encoded and d and m are negated.
    /// </summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static void Turn(in LaneGroups lanes, Span<float> signs)
    {
        Span<float> above = stackalloc float[Width], below = stackalloc float[Width];
        (TLanes low, TLanes high) = AffineSearch.Range<TLanes>(lanes);
        TLanes zero = TLanes.Broadcast(0);
        TLanes.Store32(TLanes.MaxF(low, zero), ref above[0]);
        TLanes.Store32(TLanes.MaxF(TLanes.SubtractF(zero, high), zero), ref below[0]);
        signs.Fill(1);
        bool any = false;
        for (int start = 0; start < lanes.Count; start += lanes.GroupsInBlock)
        {
            float distance = 0;
            for (int group = start; group < start + lanes.GroupsInBlock; group++)
            {
                distance += above[group] - below[group];
            }

            if (distance > 0)
            {
                signs.Slice(start, lanes.GroupsInBlock).Fill(-1);
                any = true;
            }
        }

        TLanes sign = TLanes.Load32(in signs[0]);
        for (int i = 0; any && i < lanes.Values.Length; i += Width)
        {
            TLanes.Store32(TLanes.MultiplyF(TLanes.Load32(in lanes.Values[i]), sign), ref lanes.Values[i]);
        }
    }

    /// <summary>What sixteen groups store, and their blocks' d and m, in units of the block; the error of each group, less sum w x^2.</summary>
    private readonly ref struct Choice(Span<float> room)
    {
        public Span<float> D { get; } = room[..Width];

        public Span<float> M { get; } = room.Slice(Width, Width);

        public Span<float> Scales { get; } = room.Slice(2 * Width, Width);

        public Span<float> Minima { get; } = room.Slice(3 * Width, Width);

        public Span<float> Errors { get; } = room.Slice(4 * Width, Width);
    }

    private readonly ref struct Search
    {
        private readonly LaneGroups lanes;
        private readonly AffineSums<TLanes> sums;
        private readonly TLanes ownScales;
        private readonly TLanes ownMinima;
        private readonly TLanes squares;
        private readonly TLanes highest;
        private readonly ScaleCodes codes;

        public Search(AffineSearch search, int highestScale, LaneGroups lanes)
        {
            this.lanes = lanes;
            (codes, highest) = (new ScaleCodes(0, highestScale), LaneMath.Single<TLanes>(highestScale));
            sums = new(lanes, search.Highest);
            (TLanes low, TLanes high) = AffineSearch.Range<TLanes>(lanes);
            search.Find(sums, low, high, negativeOffset: true, out TLanes scale, out TLanes offset, out squares);
            (ownScales, ownMinima) = (TLanes.MaxF(scale, TLanes.Broadcast(0)), TLanes.SubtractF(TLanes.Broadcast(0), offset));
        }

        [SkipLocalsInit]
        public void Run(Choice best, Choice trial)
        {
            Span<float> terms = stackalloc float[5 * Width], least = stackalloc float[Width], next = stackalloc float[2 * Width], starts = stackalloc float[UnitScan.Starts * Width];
            Span<float> nextD = next[..Width], nextM = next[Width..];
            Start(trial, starts);
            least.Fill(float.PositiveInfinity);

            // Where scales are coarse, several d are worth a try.
            bool coarse = codes.Highest < 32;
            for (int round = coarse ? 1 - UnitScan.Starts : 0; round <= Rounds; round++)
            {
                Assign(trial, terms);
                bool moved = false;
                for (int start = 0; start < lanes.Count; start += lanes.GroupsInBlock)
                {
                    moved |= Judge(start, terms, best, trial, ref least[start], ref nextD[start], ref nextM[start]);
                }

                if (round < 0)
                {
                    starts.Slice((round + UnitScan.Starts - 1) * Width, Width).CopyTo(trial.D);
                    continue;
                }

                if (!moved && round > 0)
                {
                    return;
                }

                for (int start = 0; start < lanes.Count; start += lanes.GroupsInBlock)
                {
                    trial.D.Slice(start, lanes.GroupsInBlock).Fill(nextD[start]);
                    trial.M.Slice(start, lanes.GroupsInBlock).Fill(nextM[start]);
                }
            }
        }

        /// <summary>d and m for which the groups' own scales and minima are nearest to integers; other d to start from.</summary>
        [SkipLocalsInit]
        private void Start(Choice first, Span<float> others)
        {
            Span<float> wanted = stackalloc float[4 * Width], starts = stackalloc float[UnitScan.Starts];
            TLanes.Store32(ownScales, ref wanted[0]);
            TLanes.Store32(squares, ref wanted[Width]);
            TLanes.Store32(ownMinima, ref wanted[2 * Width]);
            TLanes.Store32(sums.Weight, ref wanted[3 * Width]);
            int count = lanes.GroupsInBlock;
            first.D.Clear();
            first.M.Clear();
            others.Clear();
            for (int start = 0; start < lanes.Count; start += count)
            {
                float unit = lanes.Units[start];
                int choice = UnitScan.Find<TLanes>(wanted.Slice(start, count), wanted.Slice(Width + start, count), unit, codes, starts);
                first.D.Slice(start, count).Fill(starts[choice]);
                for (int other = 1; other < UnitScan.Starts; other++)
                {
                    others.Slice(((other - 1) * Width) + start, count).Fill(starts[(choice + other) % UnitScan.Starts]);
                }

                first.M.Slice(start, count).Fill(UnitScan.Find<TLanes>(wanted.Slice((2 * Width) + start, count), wanted.Slice((3 * Width) + start, count), unit, codes));
            }
        }

        /// <summary>The best integers of each group at its block's d and m, and the terms of least squares for x = d a - m b: a a, a b, b b, x a, x b.</summary>
        [MethodImpl(LaneGroups.Kernel)]
        private void Assign(Choice choice, Span<float> terms)
        {
            TLanes d = TLanes.Load32(in choice.D[0]), m = TLanes.Load32(in choice.M[0]), inverseM = HalfScale.Inverse(m), zero = TLanes.Broadcast(0);
            TLanes nearest = Integer(TLanes.MultiplyF(ownScales, HalfScale.Inverse(d))), firstMinimum = Integer(TLanes.MultiplyF(ownMinima, inverseM));
            TLanes least = LaneMath.Single<TLanes>(float.PositiveInfinity), scale = zero, minimum = zero, code = zero, square = zero, product = zero;
            TLanes perWeight = TLanes.DivideF(inverseM, sums.Weight);
            for (int shift = -1; shift <= 1; shift++)
            {
                // The minimum for this scale: nearest to the group's own, then corrected by what least squares says for the codes.
                TLanes trial = Integer(TLanes.AddF(nearest, LaneMath.Single<TLanes>(shift))), step = TLanes.MultiplyF(d, trial), inverse = HalfScale.Inverse(step);
                TLanes low = firstMinimum;
                for (int pass = 0; pass < 2; pass++)
                {
                    TLanes offset = TLanes.SubtractF(zero, TLanes.MultiplyF(m, low));
                    sums.Sum(inverse, offset, out TLanes codes, out TLanes squared, out TLanes products);
                    TLanes error = sums.Error(step, offset, codes, squared, products), less = TLanes.LessF(error, least);
                    (least, scale, minimum) = (TLanes.Select(less, error, least), TLanes.Select(less, trial, scale), TLanes.Select(less, low, minimum));
                    (code, square, product) = (TLanes.Select(less, codes, code), TLanes.Select(less, squared, square), TLanes.Select(less, products, product));
                    low = Integer(TLanes.MultiplyF(TLanes.SubtractF(TLanes.MultiplyF(step, codes), sums.Value), perWeight));
                }
            }

            TLanes.Store32(scale, ref choice.Scales[0]);
            TLanes.Store32(minimum, ref choice.Minima[0]);
            TLanes.Store32(least, ref choice.Errors[0]);
            TLanes.Store32(TLanes.MultiplyF(TLanes.MultiplyF(scale, scale), square), ref terms[0]);
            TLanes.Store32(TLanes.MultiplyF(TLanes.MultiplyF(scale, minimum), code), ref terms[Width]);
            TLanes.Store32(TLanes.MultiplyF(TLanes.MultiplyF(minimum, minimum), sums.Weight), ref terms[2 * Width]);
            TLanes.Store32(TLanes.MultiplyF(scale, product), ref terms[3 * Width]);
            TLanes.Store32(TLanes.MultiplyF(minimum, sums.Value), ref terms[4 * Width]);
        }

        private TLanes Integer(TLanes value) => IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(value, TLanes.Broadcast(0)), highest));

        /// <summary>Keeps a block's trial if it is better, and then says d and m of least squares for it; false where nothing moves.</summary>
        private bool Judge(int start, ReadOnlySpan<float> terms, Choice best, Choice trial, ref float least, ref float followingD, ref float followingM)
        {
            int count = lanes.GroupsInBlock;
            double error = 0, aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
            for (int group = start; group < start + count; group++)
            {
                error += trial.Errors[group];
                aa += terms[group];
                ab += terms[Width + group];
                bb += terms[(2 * Width) + group];
                xa += terms[(3 * Width) + group];
                xb += terms[(4 * Width) + group];
            }

            if ((float)error >= least)
            {
                return false;
            }

            least = (float)error;
            (float d, float m, float unit) = (trial.D[start], trial.M[start], lanes.Units[start]);
            best.D.Slice(start, count).Fill(d);
            best.M.Slice(start, count).Fill(m);
            trial.Scales.Slice(start, count).CopyTo(best.Scales[start..]);
            trial.Minima.Slice(start, count).CopyTo(best.Minima[start..]);
            double determinant = (aa * bb) - (ab * ab);
            (double nextD, double nextM) = determinant > 1e-6 * aa * bb
                ? (((xa * bb) - (xb * ab)) / determinant, ((xa * ab) - (xb * aa)) / determinant)
                : (aa > 0 ? xa / aa : d, m);
            followingD = HalfScale.Round((float)nextD * unit) / unit;
            followingM = HalfScale.Round((float)nextM * unit) / unit;
            return followingD != d || followingM != m;
        }
    }
}

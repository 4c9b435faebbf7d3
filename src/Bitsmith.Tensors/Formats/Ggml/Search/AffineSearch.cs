using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Scale and offset of each group of weights on its own, x ~ scale * code + offset, of small weighted squared error: candidates around and within the group's
/// range, each solved by least squares, then alternating assignment and least squares from the best.
/// </summary>
internal sealed class AffineSearch
{
    private const int Width = LaneMath.Width, Rounds = 4;

    // A gain that is larger by less is the same, but for rounding.
    private const float Clearly = 1 + 5e-7f;

    // The range of codes over the range of values: beyond 1 the values at one or both ends are clipped.
    private static readonly float[] Reaches = [1.07f, 1.15f, 1.25f, 1.4f, 1.6f, 1.85f, 2.2f, 2.7f, 3.5f];

    // For values from 0 to 1: the reciprocal of the scale, and the offset. Groups of few different weights have many equal solutions; those of small scales
    // and offsets come first, for a block's other groups go with them best.
    private readonly (float Inverse, float Offset)[] candidates;

    private AffineSearch(int highest) => (Highest, candidates) = (highest, [.. Candidates(highest)]);

    /// <summary>Codes 0 to 3.</summary>
    public static AffineSearch TwoBits { get; } = new(3);

    /// <summary>Codes 0 to 15.</summary>
    public static AffineSearch FourBits { get; } = new(15);

    /// <summary>Codes 0 to 31.</summary>
    public static AffineSearch FiveBits { get; } = new(31);

    /// <summary>The highest code.</summary>
    public int Highest { get; }

    /// <summary>Finds scale and offset as real numbers; the offset at most zero where that is asked.</summary>
    /// <param name="sums">Their sums.</param>
    /// <param name="low">The lowest weight of each group.</param>
    /// <param name="high">The largest weight of each group.</param>
    /// <param name="negativeOffset">Whether the offset must not be above zero.</param>
    /// <param name="scale">Receives the scales.</param>
    /// <param name="offset">Receives the offsets.</param>
    /// <param name="square">Receives sum w q^2 of each group.</param>
    [MethodImpl(LaneGroups.Kernel)]
    public void Find<TLanes>(in AffineSums<TLanes> sums, TLanes low, TLanes high, bool negativeOffset, out TLanes scale, out TLanes offset, out TLanes square)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes zero = TLanes.Broadcast(0);
        low = negativeOffset ? TLanes.MinF(low, zero) : low;
        high = TLanes.MaxF(high, low);
        TLanes range = TLanes.SubtractF(high, low), inverseRange = HalfScale.Inverse(range);
        Best<TLanes> best = new();
        best.Try(sums, zero, low, negativeOffset, first: true);
        foreach ((float inverse, float shift) in candidates)
        {
            TLanes start = TLanes.AddF(low, TLanes.MultiplyF(range, LaneMath.Single<TLanes>(shift)));
            best.Try(sums, TLanes.MultiplyF(inverseRange, LaneMath.Single<TLanes>(inverse)), start, negativeOffset, first: false);
        }

        for (int round = 0; round < Rounds; round++)
        {
            best.Try(sums, HalfScale.Inverse(best.Scale), best.Offset, negativeOffset, first: false);
        }

        (scale, offset, square) = (best.Scale, best.Offset, best.Square);
    }

    /// <summary>The lowest and the largest weight of each group.</summary>
    public static (TLanes Low, TLanes High) Range<TLanes>(in LaneGroups lanes)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes low = TLanes.Load32(in lanes.Values[0]), high = low;
        for (int i = Width; i < lanes.Values.Length; i += Width)
        {
            TLanes value = TLanes.Load32(in lanes.Values[i]);
            (low, high) = (TLanes.MinF(low, value), TLanes.MaxF(high, value));
        }

        return (low, high);
    }

    private static IEnumerable<(float Inverse, float Offset)> Candidates(int highest)
    {
        for (int phase = 1; phase >= -2; phase--)
        {
            for (int step = 5; step >= -5; step--)
            {
                float inverse = highest + (0.18f * step);
                yield return (inverse, 0.25f * phase / inverse);
            }
        }

        foreach (float reach in Reaches)
        {
            yield return (reach * highest, 0);
            yield return (reach * highest, (1 - (1 / reach)) / 2);
            yield return (reach * highest, 1 - (1 / reach));
        }
    }

    private struct Best<TLanes>
        where TLanes : struct, ILanes16<TLanes>
    {
        public TLanes Scale;
        public TLanes Offset;
        public TLanes Square;
        private TLanes gain;

        /// <summary>Takes over the least squares for the codes at a scale and an offset where they take more off sum w x^2.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Try(in AffineSums<TLanes> sums, TLanes inverse, TLanes start, bool negativeOffset, bool first)
        {
            sums.Sum(inverse, start, out TLanes code, out TLanes squared, out TLanes product);
            sums.Solve(code, squared, product, negativeOffset, out TLanes solvedScale, out TLanes solvedOffset, out TLanes other);
            TLanes better = first ? TLanes.Broadcast(uint.MaxValue) : TLanes.LessF(TLanes.MultiplyF(gain, LaneMath.Single<TLanes>(Clearly)), other);
            (Scale, Offset) = (TLanes.Select(better, solvedScale, Scale), TLanes.Select(better, solvedOffset, Offset));
            (Square, gain) = (TLanes.Select(better, squared, Square), TLanes.Select(better, other, gain));
        }
    }
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

public static partial class Int4ZeroPointGroup
{
    private const float Steps = Int4Group.Highest - Int4Group.Lowest;

    /// <summary>The format for weights of type T.</summary>
    private readonly struct Codes<TRounding>(ElementType type, int groupSize) : IGroupFormat
        where TRounding : struct, IWeightRounding
    {
        // Zero points on either side of the library's; scales from where the farther end of the range meets the end of the codes, and beyond, to where half of the range is clipped.
        private const int Around = 2, Scales = 12, Rounds = 2;
        private const float Widest = 1.08f, Narrowest = 0.54f;

        public int GroupSize => groupSize;

        public int ScaleBytes => type.Bytes();

        public bool HasZeroPoints => true;

        public (uint Stored, float Scale, float Zero) LibraryScale(ReadOnlySpan<float> group, float largest)
        {
            float low = 0, high = 0;
            foreach (float weight in group)
            {
                (low, high) = (MathF.Min(low, weight), MathF.Max(high, weight));
            }

            float range = TRounding.Round(high - low);
            float scale = TRounding.Round(float.IsFinite(range) ? range / Steps : (high / Steps) - (low / Steps));
            float zero = scale == 0 ? low < 0 ? Int4Group.Highest : ZeroOfNothing : TRounding.Round(Int4Group.Lowest - TRounding.Round(low / scale));
            scale = scale == 0 ? TRounding.Epsilon : scale;
            return (BitConverter.SingleToUInt32Bits(scale), scale, Within(zero));
        }

        public (int Code, float Value) LibraryNearest(float quotient, float zero) => Coded(Within(TRounding.Round(TRounding.Round(quotient) + zero)), zero);

        public (int Code, float Value) Nearest(float quotient, float zero) => Coded(Within(quotient + zero), zero);

        [MethodImpl(LaneGroups.Kernel)]
        public GroupScales<TLanes> LibraryScale<TLanes>(ReadOnlySpan<float> groups, TLanes largest)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes nothing = TLanes.Broadcast(0), low = nothing, high = nothing, steps = LaneMath.Single<TLanes>(Steps);
            for (int i = 0; i < groups.Length; i += LaneMath.Width)
            {
                TLanes weight = TLanes.Load32(in groups[i]);
                (low, high) = (TLanes.MinF(weight, low), TLanes.MaxF(weight, high));
            }

            TLanes range = TRounding.Round(TLanes.SubtractF(high, low)), isFinite = TLanes.Less(range, LaneMath.Single<TLanes>(float.PositiveInfinity));
            TLanes scale = TRounding.Round(TLanes.Select(isFinite, TLanes.DivideF(range, steps), TLanes.SubtractF(TLanes.DivideF(high, steps), TLanes.DivideF(low, steps))));
            TLanes vanishes = TLanes.Less(scale, TLanes.Broadcast(1));
            scale = TLanes.Select(vanishes, LaneMath.Single<TLanes>(TRounding.Epsilon), scale);
            TLanes zero = TRounding.Round(TLanes.SubtractF(LaneMath.Single<TLanes>(Int4Group.Lowest), TRounding.Round(TLanes.DivideF(low, scale))));
            TLanes degenerate = TLanes.Select(TLanes.LessF(low, nothing), LaneMath.Single<TLanes>(Int4Group.Highest), LaneMath.Single<TLanes>(ZeroOfNothing));
            return new(scale, scale, Within(TLanes.Select(vanishes, degenerate, zero)));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public (TLanes Code, TLanes Value) LibraryNearest<TLanes>(TLanes quotient, TLanes zero)
            where TLanes : struct, ILanes16<TLanes> =>
            Coded(Within(TRounding.Round(TLanes.AddF(TRounding.Round(quotient), zero))), zero);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public (TLanes Code, TLanes Value) Nearest<TLanes>(TLanes quotient, TLanes zero)
            where TLanes : struct, ILanes16<TLanes> =>
            Coded(Within(TLanes.AddF(quotient, zero)), zero);

        /// <summary>For each zero point near the library's, several scales and the scale of least squares for each one's codes, as they are stored.</summary>
        [MethodImpl(LaneGroups.Kernel)]
        public GroupScales<TLanes> Search<TLanes>(in LaneGroups lanes, GroupScales<TLanes> library)
            where TLanes : struct, ILanes16<TLanes>
        {
            AffineSums<TLanes> sums = new(lanes, (int)Steps);
            (TLanes low, TLanes high) = AffineSearch.Range<TLanes>(lanes);
            TLanes units = TLanes.Load32(in lanes.Units[0]), nothing = TLanes.Broadcast(0), least = LaneMath.Single<TLanes>(float.PositiveInfinity);
            GroupScales<TLanes> best = library;
            for (int shift = -Around; shift <= Around; shift++)
            {
                TLanes zero = Within(TLanes.AddF(library.Zero, LaneMath.Single<TLanes>(shift)));
                TLanes below = TLanes.SubtractF(zero, LaneMath.Single<TLanes>(Int4Group.Lowest)), above = TLanes.SubtractF(LaneMath.Single<TLanes>(Int4Group.Highest), zero);
                TLanes fitting = TLanes.MaxF(TLanes.MultiplyF(high, HalfScale.Inverse(above)), TLanes.MultiplyF(TLanes.SubtractF(nothing, low), HalfScale.Inverse(below)));
                for (int i = 0; i < Scales; i++)
                {
                    TLanes scale = TLanes.MultiplyF(TLanes.MultiplyF(fitting, LaneMath.Single<TLanes>(Widest - (i * (Widest - Narrowest) / (Scales - 1)))), units);
                    for (int round = 0; round < Rounds; round++)
                    {
                        TLanes stored = TRounding.Round(scale), inUnits = TLanes.DivideF(stored, units);
                        sums.Sum(HalfScale.Inverse(inUnits), TLanes.SubtractF(nothing, TLanes.MultiplyF(below, inUnits)), out TLanes code, out TLanes square, out TLanes product);

                        // From sums over codes to sums over levels, which are the codes less those below the zero point.
                        TLanes correction = TLanes.SubtractF(TLanes.MultiplyF(below, sums.Weight), TLanes.AddF(code, code));
                        square = TLanes.AddF(square, TLanes.MultiplyF(below, correction));
                        product = TLanes.SubtractF(product, TLanes.MultiplyF(below, sums.Value));
                        TLanes usable = TLanes.LessF(nothing, stored) & TLanes.Less(stored, LaneMath.Single<TLanes>(float.PositiveInfinity));
                        TLanes error = ScaleSearch<TLanes, LevelGroups<Int4Levels>>.Error(inUnits, product, square), less = TLanes.LessF(error, least) & usable;
                        best = new(TLanes.Select(less, stored, best.Stored), TLanes.Select(less, stored, best.Scale), TLanes.Select(less, zero, best.Zero));
                        least = TLanes.Select(less, error, least);
                        scale = TLanes.MultiplyF(TLanes.MultiplyF(product, HalfScale.Inverse(square)), units);
                    }
                }
            }

            return best;
        }

        public ReadOnlySpan<float> Levels => NibbleGroups.Int4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public GroupScales<TLanes> NearestScale<TLanes>(TLanes wanted)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes scale = TRounding.Round(wanted);
            return new(scale, scale);
        }

        public void ReadScales(ReadOnlySpan<byte> source, Span<uint> stored, Span<float> scales) => FloatScales.Read(type, source, stored, scales);

        public void WriteScales(ReadOnlySpan<uint> stored, Span<byte> target) => FloatScales.Write(type, stored, target);

        private static (int Code, float Value) Coded(float code, float zero) => ((int)code - Int4Group.Lowest, code - zero);

        private static float Within(float code) => MathF.Round(Math.Clamp(code, Int4Group.Lowest, Int4Group.Highest), MidpointRounding.ToEven);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TLanes Within<TLanes>(TLanes code)
            where TLanes : struct, ILanes16<TLanes> =>
            IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(code, LaneMath.Single<TLanes>(Int4Group.Lowest)), LaneMath.Single<TLanes>(Int4Group.Highest)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static (TLanes Code, TLanes Value) Coded<TLanes>(TLanes code, TLanes zero)
            where TLanes : struct, ILanes16<TLanes> =>
            (IntegerLevels.ToInteger(TLanes.SubtractF(code, LaneMath.Single<TLanes>(Int4Group.Lowest))), TLanes.SubtractF(code, zero));
    }
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

public static partial class NvFp4Group
{
    private const float ZeroScale = 0.125f, SmallestScale = 1f / 512;

    /// <summary>The e4m3fn scale that the library gives to numbers whose largest magnitude is s1 times 6, and what codes are multiplied with.</summary>
    internal static (uint Stored, float Scale) LibraryScale(float s1, float globalScale)
    {
        Float8E4M3 stored = Float8E4M3.FromSingle(globalScale * s1);
        stored = stored.Bits == 0 ? Float8E4M3.FromSingle(ZeroScale) : stored;
        return (stored.Bits, stored.ToSingle() / globalScale);
    }

    /// <summary>The code of a quotient: e2m1, ties to even, and what it stands for.</summary>
    internal static (int Code, float Value) NearestE2M1(float quotient)
    {
        float magnitude = Math.Min(Math.Abs(quotient), LargestCode);
        int code = magnitude switch
        {
            <= 0.25f => 0,
            < 0.75f => 1,
            <= 1.25f => 2,
            < 1.75f => 3,
            <= 2.5f => 4,
            < 3.5f => 5,
            <= 5 => 6,
            _ => 7,
        };
        code |= quotient < 0 ? 8 : 0;
        return (code, NibbleGroups.E2M1[code]);
    }

    /// <inheritdoc cref="NearestE2M1(float)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static (TLanes Code, TLanes Value) NearestE2M1<TLanes>(TLanes quotient)
        where TLanes : struct, ILanes16<TLanes>
    {
        // The levels have twice the values of e2m1.
        TLanes twice = TLanes.AddF(quotient, quotient), one = LaneMath.Single<TLanes>(1), negative = TLanes.LessF(quotient, TLanes.Broadcast(0));
        TLanes code = Fp4Levels.Code(twice, one) | (negative & TLanes.Broadcast(8)), level = Fp4Levels.Nearest(twice, one);
        return (code, TLanes.MultiplyF(level, LaneMath.Single<TLanes>(0.5f)));
    }

    /// <summary>The format for weights of type T.</summary>
    private readonly struct Codes<TRounding>(float globalScale) : IGroupFormat
        where TRounding : struct, IWeightRounding
    {
        // From about an octave and a half below the scale at which the largest weight is the largest code, where weights are clipped, to as much above.
        private const int Below = 12, Trials = 26;
        private const uint HighestScale = 0x7E;

        public int GroupSize => Columns;

        public int ScaleBytes => 1;

        public bool HasZeroPoints => false;

        public (uint Stored, float Scale, float Zero) LibraryScale(ReadOnlySpan<float> group, float largest)
        {
            (uint stored, float scale) = NvFp4Group.LibraryScale(TRounding.Round(largest / LargestCode), globalScale);
            return (stored, scale, 0);
        }

        public (int Code, float Value) LibraryNearest(float quotient, float zero) => NearestE2M1(quotient);

        public (int Code, float Value) Nearest(float quotient, float zero) => NearestE2M1(quotient);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public GroupScales<TLanes> LibraryScale<TLanes>(ReadOnlySpan<float> groups, TLanes largest)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes s1 = TRounding.Round(TLanes.DivideF(largest, LaneMath.Single<TLanes>(LargestCode)));
            TLanes wanted = TLanes.MinF(TLanes.MultiplyF(LaneMath.Single<TLanes>(globalScale), s1), LaneMath.Single<TLanes>(Float8E4M3.MaxValue));
            (TLanes stored, TLanes value) = LaneMath.RoundToE4M3(wanted);
            TLanes zero = TLanes.Less(stored, TLanes.Broadcast(1));
            stored = TLanes.Select(zero, TLanes.Broadcast(Float8E4M3.FromSingle(ZeroScale).Bits), stored);
            return new(stored, TLanes.DivideF(TLanes.Select(zero, LaneMath.Single<TLanes>(ZeroScale), value), LaneMath.Single<TLanes>(globalScale)));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public (TLanes Code, TLanes Value) LibraryNearest<TLanes>(TLanes quotient, TLanes zero) where TLanes : struct, ILanes16<TLanes> => NearestE2M1(quotient);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public (TLanes Code, TLanes Value) Nearest<TLanes>(TLanes quotient, TLanes zero) where TLanes : struct, ILanes16<TLanes> => NearestE2M1(quotient);

        /// <summary>Few scales can be stored: those near the library's are all tried.</summary>
        [MethodImpl(LaneGroups.Kernel)]
        public GroupScales<TLanes> Search<TLanes>(in LaneGroups lanes, GroupScales<TLanes> library)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes units = TLanes.Load32(in lanes.Units[0]), least = LaneMath.Single<TLanes>(float.PositiveInfinity);
            GroupScales<TLanes> best = library;
            for (int trial = 0; trial < Trials; trial++)
            {
                TLanes stored = TLanes.Min(TLanes.Max(library.Stored + TLanes.Broadcast(unchecked((uint)(trial - Below))), TLanes.Broadcast(1)), TLanes.Broadcast(HighestScale));
                TLanes scale = TLanes.DivideF(LaneMath.FromE4M3(stored), LaneMath.Single<TLanes>(globalScale));

                // The levels have twice the values of e2m1.
                TLanes inUnits = TLanes.MultiplyF(TLanes.DivideF(scale, units), LaneMath.Single<TLanes>(0.5f));
                LevelGroups<Fp4Levels>.Sum(lanes, HalfScale.Inverse(inUnits), out TLanes product, out TLanes square);
                TLanes error = ScaleSearch<TLanes, LevelGroups<Fp4Levels>>.Error(inUnits, product, square), less = TLanes.LessF(error, least);
                best = new(TLanes.Select(less, stored, best.Stored), TLanes.Select(less, scale, best.Scale));
                least = TLanes.Select(less, error, least);
            }

            return best;
        }

        public ReadOnlySpan<float> Levels => NibbleGroups.E2M1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public GroupScales<TLanes> NearestScale<TLanes>(TLanes wanted)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes global = LaneMath.Single<TLanes>(globalScale);
            TLanes inRange = TLanes.MinF(TLanes.MaxF(TLanes.MultiplyF(wanted, global), LaneMath.Single<TLanes>(SmallestScale)), LaneMath.Single<TLanes>(Float8E4M3.MaxValue));
            (TLanes stored, TLanes value) = LaneMath.RoundToE4M3(inRange);
            return new(stored, TLanes.DivideF(value, global));
        }

        public void ReadScales(ReadOnlySpan<byte> source, Span<uint> stored, Span<float> scales)
        {
            for (int i = 0; i < source.Length; i++)
            {
                stored[i] = source[i];
            }

            NvFp4Group.ReadScales(source, globalScale, scales, InstructionSet.Scalar);
        }

        public void WriteScales(ReadOnlySpan<uint> stored, Span<byte> target)
        {
            for (int i = 0; i < stored.Length; i++)
            {
                target[i] = (byte)stored[i];
            }
        }
    }
}

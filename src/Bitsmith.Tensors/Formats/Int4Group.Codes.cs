using System.Runtime.CompilerServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

public static partial class Int4Group
{
    private const float Range = 7.5f; // half of 15 steps

    /// <summary>The format for weights of type T.</summary>
    private readonly struct Codes<TRounding>(ElementType type, int groupSize) : IGroupFormat
        where TRounding : struct, IWeightRounding
    {
        private const int Rounds = 6;

        public int GroupSize => groupSize;

        public int ScaleBytes => type.Bytes();

        public bool HasZeroPoints => false;

        public (uint Stored, float Scale, float Zero) LibraryScale(ReadOnlySpan<float> group, float largest)
        {
            float scale = TRounding.Round(largest / Range);
            scale = scale == 0 ? TRounding.Epsilon : scale;
            return (BitConverter.SingleToUInt32Bits(scale), scale, 0);
        }

        public (int Code, float Value) LibraryNearest(float quotient, float zero) => Nearest(TRounding.Round(quotient), zero);

        public (int Code, float Value) Nearest(float quotient, float zero)
        {
            float value = MathF.Round(Math.Clamp(quotient, Lowest, Highest), MidpointRounding.ToEven);
            return ((int)value - Lowest, value);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public GroupScales<TLanes> LibraryScale<TLanes>(ReadOnlySpan<float> groups, TLanes largest)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes scale = TRounding.Round(TLanes.DivideF(largest, LaneMath.Single<TLanes>(Range)));
            scale = TLanes.Select(TLanes.Less(scale, TLanes.Broadcast(1)), LaneMath.Single<TLanes>(TRounding.Epsilon), scale);
            return new(scale, scale);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public (TLanes Code, TLanes Value) LibraryNearest<TLanes>(TLanes quotient, TLanes zero) where TLanes : struct, ILanes16<TLanes> => Nearest(TRounding.Round(quotient), zero);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public (TLanes Code, TLanes Value) Nearest<TLanes>(TLanes quotient, TLanes zero)
            where TLanes : struct, ILanes16<TLanes>
        {
            TLanes value = IntegerLevels.Round(TLanes.MinF(TLanes.MaxF(quotient, LaneMath.Single<TLanes>(Lowest)), LaneMath.Single<TLanes>(Highest)));
            return (IntegerLevels.ToInteger(TLanes.SubtractF(value, LaneMath.Single<TLanes>(Lowest))), value);
        }

        /// <summary>The best scale of each group as a real number, then assignment and least squares in turn with scales as they are stored.</summary>
        public GroupScales<TLanes> Search<TLanes>(in LaneGroups lanes, GroupScales<TLanes> library)
            where TLanes : struct, ILanes16<TLanes>
        {
            ScaleSearch<TLanes, LevelGroups<Int4Levels>>.FindGroups(lanes, 0, out TLanes wanted, out _);
            TLanes units = TLanes.Load32(in lanes.Units[0]), best = library.Scale, scale = library.Scale, least = LaneMath.Single<TLanes>(float.PositiveInfinity);
            wanted = TLanes.MultiplyF(wanted, units);
            for (int round = -1; round < Rounds; round++)
            {
                TLanes stored = TRounding.Round(scale), inUnits = TLanes.DivideF(stored, units);
                LevelGroups<Int4Levels>.Sum(lanes, HalfScale.Inverse(inUnits), out TLanes product, out TLanes square);
                TLanes error = ScaleSearch<TLanes, LevelGroups<Int4Levels>>.Error(inUnits, product, square), less = TLanes.LessF(error, least);
                (best, least) = (TLanes.Select(less, stored, best), TLanes.Select(less, error, least));

                // First the library's scale, which stays where nothing is better.
                TLanes solved = TLanes.MultiplyF(TLanes.MultiplyF(product, HalfScale.Inverse(square)), units);
                scale = round < 0 ? wanted : TLanes.Select(less, solved, stored);
            }

            return new(best, best);
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
    }
}

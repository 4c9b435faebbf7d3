using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The scales that a format can store, by code.</summary>
internal interface IListedScales
{
    /// <summary>The highest code; the lowest is 0.</summary>
    static abstract int Highest { get; }

    static abstract float Scale(int code);

    /// <summary>The first of the codes to try for a group of this largest magnitude.</summary>
    static abstract int First(float largest);

    /// <summary>How many codes to try.</summary>
    static abstract int Trials { get; }
}

/// <summary>Groups that store one of few scales each: those near the largest weight are all tried.</summary>
internal static class ListedScales<TLanes, TLevels, TScales>
    where TLanes : struct, ILanes16<TLanes>
    where TLevels : struct, ILevels
    where TScales : struct, IListedScales
{
    private const int Width = LaneMath.Width;

    /// <summary>Encodes blocks.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="values">The weights, in their order.</param>
    /// <param name="chosen">Receives the code of each group's scale.</param>
    /// <param name="codes">Receives the code of each weight.</param>
    [SkipLocalsInit]
    public static void Encode(in LaneGroups lanes, ReadOnlySpan<float> values, Span<int> chosen, Span<byte> codes)
    {
        int size = lanes.Size;
        Span<int> first = stackalloc int[Width];
        first.Clear();
        for (int group = 0; group < chosen.Length; group++)
        {
            first[group] = TScales.First(Largest(values.Slice(group * size, size)));
        }

        Choose(lanes, first);
        for (int group = 0; group < chosen.Length; group++)
        {
            chosen[group] = first[group];
            LevelGroups<TLevels>.WriteCodes<TLanes>(values.Slice(group * size, size), TScales.Scale(first[group]), codes.Slice(group * size, size));
        }
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static float Largest(ReadOnlySpan<float> values)
    {
        TLanes largest = TLanes.Broadcast(0);
        for (int i = 0; i < values.Length; i += Width)
        {
            largest = TLanes.Max(largest, TLanes.Load32(in values[i]) & TLanes.Broadcast(0x7FFF_FFFF));
        }

        return TLanes.LargestF(largest);
    }

    /// <summary>Replaces the first code to try of each group by the best.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static void Choose(in LaneGroups lanes, Span<int> codes)
    {
        Span<float> scales = stackalloc float[Width], best = stackalloc float[Width];
        TLanes inverseUnit = TLanes.DivideF(LaneMath.Single<TLanes>(1), TLanes.Load32(in lanes.Units[0]));
        TLanes least = LaneMath.Single<TLanes>(float.PositiveInfinity), choice = TLanes.Broadcast(0);
        for (int trial = 0; trial < TScales.Trials; trial++)
        {
            for (int group = 0; group < Width; group++)
            {
                scales[group] = TScales.Scale(Math.Clamp(codes[group] + trial, 0, TScales.Highest));
            }

            TLanes scale = TLanes.MultiplyF(TLanes.Load32(in scales[0]), inverseUnit);
            LevelGroups<TLevels>.Sum(lanes, HalfScale.Inverse(scale), out TLanes product, out TLanes square);
            TLanes error = TLanes.MultiplyF(scale, TLanes.SubtractF(TLanes.MultiplyF(scale, square), TLanes.AddF(product, product))), less = TLanes.LessF(error, least);
            (least, choice) = (TLanes.Select(less, error, least), TLanes.Select(less, LaneMath.Single<TLanes>(trial), choice));
        }

        TLanes.Store32(choice, ref best[0]);
        for (int group = 0; group < Width; group++)
        {
            codes[group] = Math.Clamp(codes[group] + (int)best[group], 0, TScales.Highest);
        }
    }
}

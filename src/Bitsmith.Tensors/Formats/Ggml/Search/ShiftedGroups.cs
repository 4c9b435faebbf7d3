using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>How many weights share a shift.</summary>
internal interface IShiftSize
{
    static abstract int Size { get; }
}

/// <summary>A shift for each point.</summary>
internal readonly struct ShiftOf8 : IShiftSize
{
    public static int Size => 8;
}

/// <summary>A shift for four points.</summary>
internal readonly struct ShiftOf32 : IShiftSize
{
    public static int Size => 32;
}

/// <summary>
/// Weights that are quantized eight at a time to points of the ternary grid, all of which are shifted by +1/8 or -1/8; the shift's sign is shared by 8 or more
/// weights of a group.
/// </summary>
internal readonly struct ShiftedGroups<TShift> : IScaledGroups
    where TShift : struct, IShiftSize
{
    /// <summary>The shift's magnitude.</summary>
    public const float Shift = 0.125f;

    private const int Run = 8, Width = LaneMath.Width;
    private const float Beyond = 1e6f;

    // Far above 1, for most of a ternary group should not be zero.
    private static readonly float[] AllPlaces = [1.2f, 1.6f, 2.1f, 2.8f];

    public static bool SignedScales => false;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    /// <summary>Here the shift is the one that would be better if every ternary vector were a point.</summary>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    public static void Sum<TLanes>(in LaneGroups lanes, TLanes inverse, out TLanes product, out TLanes square)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> coordinates = stackalloc float[Run * Width];
        (product, square) = (TLanes.Broadcast(0), TLanes.Broadcast(0));
        for (int start = 0; start < lanes.Values.Length; start += TShift.Size * Width)
        {
            TLanes shift = LikelyShift(lanes, start, inverse);
            for (int first = start; first < start + (TShift.Size * Width); first += Run * Width)
            {
                GridSearch.Coordinates(Grid.Iq1, Nearest(lanes, first, inverse, shift, out _), coordinates);
                for (int i = 0; i < Run * Width; i += Width)
                {
                    TLanes level = TLanes.AddF(TLanes.Load32(in coordinates[i]), shift), weighted = TLanes.MultiplyF(TLanes.Load32(in lanes.Weights[first + i]), level);
                    product = TLanes.FusedF(weighted, TLanes.Load32(in lanes.Values[first + i]), product);
                    square = TLanes.FusedF(weighted, level, square);
                }
            }
        }
    }

    /// <summary>The points of the weights of each group that share a shift, and 1 for each group where the shift is down.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="part">The number of these weights within the group.</param>
    /// <param name="inverse">The reciprocals of the scales.</param>
    /// <param name="points">Receives the number of the point of each run of eight, sixteen groups for each run.</param>
    /// <param name="down">Receives the shifts.</param>
    [SkipLocalsInit]
    public static void Assign<TLanes>(in LaneGroups lanes, int part, TLanes inverse, Span<int> points, Span<int> down)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> upKeys = stackalloc float[TShift.Size / Run * Width], downKeys = stackalloc float[upKeys.Length];
        TLanes up = LaneMath.Single<TLanes>(Shift), upTotal = TLanes.Broadcast(0), downTotal = upTotal;
        for (int run = 0; run < TShift.Size / Run; run++)
        {
            int start = ((part * TShift.Size) + (run * Run)) * Width;
            TLanes.Store32(Nearest(lanes, start, inverse, up, out TLanes upCost), ref upKeys[run * Width]);
            TLanes.Store32(Nearest(lanes, start, inverse, LaneMath.Single<TLanes>(-Shift), out TLanes downCost), ref downKeys[run * Width]);
            (upTotal, downTotal) = (TLanes.AddF(upTotal, upCost), TLanes.AddF(downTotal, downCost));
        }

        Span<float> costs = stackalloc float[2 * Width];
        TLanes.Store32(upTotal, ref costs[0]);
        TLanes.Store32(downTotal, ref costs[Width]);
        for (int lane = 0; lane < Width; lane++)
        {
            down[lane] = costs[Width + lane] < costs[lane] ? 1 : 0;
        }

        for (int i = 0; i < upKeys.Length; i++)
        {
            points[i] = Grid.Iq1.Number(BitConverter.SingleToInt32Bits(down[i % Width] != 0 ? downKeys[i] : upKeys[i]));
        }
    }

    /// <summary>The keys of the points nearest to eight weights of each group.</summary>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes Nearest<TLanes>(in LaneGroups lanes, int start, TLanes inverse, TLanes shift, out TLanes cost)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> targets = stackalloc float[Run * Width];
        for (int i = 0; i < Run * Width; i += Width)
        {
            TLanes.Store32(TLanes.SubtractF(Scaled(lanes, start + i, inverse), shift), ref targets[i]);
        }

        return GridSearch.Nearest(Grid.Iq1, targets, lanes.Weights.Slice(start, Run * Width), out cost);
    }

    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes LikelyShift<TLanes>(in LaneGroups lanes, int start, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes one = LaneMath.Single<TLanes>(1), upCost = TLanes.Broadcast(0), downCost = upCost, up = LaneMath.Single<TLanes>(Shift), down = LaneMath.Single<TLanes>(-Shift);
        for (int i = start; i < start + (TShift.Size * Width); i += Width)
        {
            TLanes value = Scaled(lanes, i, inverse), weight = TLanes.Load32(in lanes.Weights[i]);
            upCost = TLanes.AddF(upCost, Cost(TLanes.SubtractF(value, up), weight, one));
            downCost = TLanes.AddF(downCost, Cost(TLanes.SubtractF(value, down), weight, one));
        }

        return TLanes.Select(TLanes.LessF(downCost, upCost), down, up);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Cost<TLanes>(TLanes value, TLanes weight, TLanes one)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes difference = TLanes.SubtractF(value, IntegerLevels.Nearest(value, one, -1, 1));
        return TLanes.MultiplyF(weight, TLanes.MultiplyF(difference, difference));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Scaled<TLanes>(in LaneGroups lanes, int place, TLanes inverse)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.MinF(TLanes.MaxF(TLanes.MultiplyF(TLanes.Load32(in lanes.Values[place]), inverse), LaneMath.Single<TLanes>(-Beyond)), LaneMath.Single<TLanes>(Beyond));
}

using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Weights that are quantized four or eight at a time to points of a grid of magnitudes, with signs of their own. Where the number of minus signs among eight weights must be
/// even but is odd, the weight that loses least by it takes the wrong sign, before the points are chosen.
/// </summary>
internal readonly struct MagnitudeGroups<TGrid> : IScaledGroups
    where TGrid : struct, IMagnitudeGrid
{
    /// <summary>Weights that share signs and are assigned together.</summary>
    public const int Run = 8;

    private const int Width = LaneMath.Width;
    private const float Beyond = 1e6f;

    // The first is for weights that hardly differ: all at the lowest level. Then in units of the top level: above 1 the largest weight is clipped.
    private static readonly float[] AllPlaces =
        [TGrid.Grid.Levels[0], .. new[] { 0.95f, 1.05f, 1.15f, 1.3f, 1.5f, 1.75f, 2.1f, 2.6f }.Select(reach => reach * TGrid.Grid.Levels[^1])];

    public static bool SignedScales => false;

    public static ReadOnlySpan<float> Places => AllPlaces;

    public static int Rounds => 4;

    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    public static void Sum<TLanes>(in LaneGroups lanes, TLanes inverse, out TLanes product, out TLanes square)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> signed = stackalloc float[Run * Width], coordinates = stackalloc float[Run * Width];
        (product, square) = (TLanes.Broadcast(0), TLanes.Broadcast(0));
        for (int start = 0; start < lanes.Values.Length; start += Run * Width)
        {
            Assign(lanes, start, inverse, signed, out TLanes first, out TLanes second, out _);
            GridSearch.Coordinates(TGrid.Grid, first, coordinates);
            if (TGrid.Grid.Dimensions < Run)
            {
                GridSearch.Coordinates(TGrid.Grid, second, coordinates[(Run / 2 * Width)..]);
            }

            for (int i = 0; i < Run * Width; i += Width)
            {
                TLanes level = TLanes.Load32(in coordinates[i]), weighted = TLanes.MultiplyF(TLanes.Load32(in lanes.Weights[start + i]), level);
                product = TLanes.FusedF(weighted, TLanes.Load32(in signed[i]), product);
                square = TLanes.FusedF(weighted, level, square);
            }
        }
    }

    /// <summary>The points and the signs of eight weights of each group at its scale; a grid of eight dimensions gives one point, the first.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="run">The number of the eight weights within the group.</param>
    /// <param name="inverse">The reciprocals of the scales.</param>
    /// <param name="first">Receives the number of each group's first point.</param>
    /// <param name="second">Receives the number of each group's second point.</param>
    /// <param name="signs">Receives a bit for each minus sign, the first weight's lowest.</param>
    [SkipLocalsInit]
    public static void Assign<TLanes>(in LaneGroups lanes, int run, TLanes inverse, Span<int> first, Span<int> second, Span<int> signs)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> signed = stackalloc float[Run * Width], bits = stackalloc float[3 * Width];
        Assign(lanes, run * Run * Width, inverse, signed, out TLanes firstKeys, out TLanes secondKeys, out TLanes minus);
        TLanes.Store32(firstKeys, ref bits[0]);
        TLanes.Store32(secondKeys, ref bits[Width]);
        TLanes.Store32(minus, ref bits[2 * Width]);
        for (int lane = 0; lane < Width; lane++)
        {
            first[lane] = TGrid.Grid.Number(BitConverter.SingleToInt32Bits(bits[lane]));
            second[lane] = TGrid.Grid.Number(BitConverter.SingleToInt32Bits(bits[Width + lane]));
            signs[lane] = BitConverter.SingleToInt32Bits(bits[(2 * Width) + lane]);
        }
    }

    /// <summary>Leaves the magnitudes, that of the wrong sign negative, in <paramref name="signed"/>.</summary>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    private static void Assign<TLanes>(in LaneGroups lanes, int start, TLanes inverse, Span<float> signed, out TLanes first, out TLanes second, out TLanes signs)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> targets = stackalloc float[Run * Width];
        TLanes wrong = Signs(lanes, start, inverse, out signs);
        signs ^= wrong;
        TLanes magnitude = TLanes.Broadcast(0x7FFF_FFFF), beyond = LaneMath.Single<TLanes>(Beyond);
        for (int i = 0; i < Run; i++)
        {
            TLanes size = TLanes.Load32(in lanes.Values[start + (i * Width)]) & magnitude, minus = wrong >>> i << 31;
            TLanes.Store32(size | minus, ref signed[i * Width]);
            TLanes.Store32(TLanes.MinF(TLanes.MultiplyF(size, inverse), beyond) | minus, ref targets[i * Width]);
        }

        ReadOnlySpan<float> weights = lanes.Weights.Slice(start, Run * Width);
        int length = TGrid.Grid.Dimensions * Width;
        first = GridSearch.Nearest<TLanes>(TGrid.Grid, targets[..length], weights[..length], out _);
        second = length < weights.Length ? GridSearch.Nearest<TLanes>(TGrid.Grid, targets[length..], weights[length..], out _) : first;
    }

    /// <summary>The bit of the weight that takes the wrong sign, if one must, and a bit for each weight below zero.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes Signs<TLanes>(in LaneGroups lanes, int start, TLanes inverse, out TLanes signs)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes zero = TLanes.Broadcast(0), least = LaneMath.Single<TLanes>(float.PositiveInfinity), cheapest = zero, odd = zero;
        TLanes magnitude = TLanes.Broadcast(0x7FFF_FFFF), both = LaneMath.Single<TLanes>(2 * TGrid.Grid.Levels[0]);
        signs = zero;
        for (int i = 0; i < Run; i++)
        {
            TLanes value = TLanes.Load32(in lanes.Values[start + (i * Width)]), below = TLanes.LessF(value, zero);
            signs |= below & TLanes.Broadcast(1u << i);
            if (TGrid.EvenSigns)
            {
                // (y + lowest)^2 - lowest^2: about what a small weight loses at the lowest level.
                TLanes y = TLanes.MultiplyF(value & magnitude, inverse);
                TLanes loss = TLanes.MultiplyF(TLanes.MultiplyF(y, TLanes.AddF(y, both)), TLanes.Load32(in lanes.Weights[start + (i * Width)]));
                TLanes less = TLanes.LessF(loss, least);
                (least, cheapest) = (TLanes.Select(less, loss, least), TLanes.Select(less, TLanes.Broadcast(1u << i), cheapest));
                odd ^= below;
            }
        }

        return cheapest & odd;
    }
}

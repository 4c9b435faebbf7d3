using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The nearest points of a grid to sixteen vectors at once, one to a lane: coordinate i of vector g stands at 16 i + g.</summary>
internal static class GridSearch
{
    private const int Width = LaneMath.Width, MaxHalfCodes = 81, MaxHalfLevels = 16;
    private const uint SecondMask = (1u << Grid.SecondBits) - 1;

    /// <summary>
    /// The keys of the points of least cost, sum of weight * (target - coordinate)^2. Half points are costed first: a point costs what its halves cost.
    /// </summary>
    /// <remarks>
    /// Costs of second halves carry the code in their lowest bits, so that the least of them says which it is; two points that differ in cost by less than 2^-16 may be
    /// taken for equal. Costs are not negative, so their order is that of their bits.
    /// </remarks>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    public static TLanes Nearest<TLanes>(Grid grid, ReadOnlySpan<float> targets, ReadOnlySpan<float> weights, out TLanes cost)
        where TLanes : struct, ILanes16<TLanes>
    {
        int half = grid.Dimensions / 2 * Width;
        Span<float> first = stackalloc float[MaxHalfCodes * Width], second = stackalloc float[MaxHalfCodes * Width];
        Combine<TLanes>(grid, targets[..half], weights[..half], first);
        Combine<TLanes>(grid, targets[half..], weights[half..], second);
        ref float seconds = ref MemoryMarshal.GetReference(second);
        TLanes code = TLanes.Broadcast(SecondMask), rest = TLanes.Broadcast(~SecondMask);
        for (int i = 0; i < grid.HalfCodes; i++)
        {
            ref float place = ref Unsafe.Add(ref seconds, i * Width);
            TLanes.Store32((TLanes.Load32(in place) & rest) | TLanes.Broadcast((uint)i), ref place);
        }

        TLanes least = LaneMath.Single<TLanes>(float.PositiveInfinity), key = TLanes.Broadcast(0);
        ref float firsts = ref MemoryMarshal.GetReference(first);
        ref int list = ref MemoryMarshal.GetArrayDataReference(grid.Seconds);
        ReadOnlySpan<int> codes = grid.Firsts, pairs = grid.Pairs;
        for (int i = 0; i < codes.Length && i < pairs.Length; i++)
        {
            TLanes even = TLanes.Load32(in Unsafe.Add(ref seconds, list * Width)), odd = TLanes.Load32(in Unsafe.Add(ref seconds, Unsafe.Add(ref list, 1) * Width));
            for (int j = 1; j < pairs[i]; j++)
            {
                list = ref Unsafe.Add(ref list, 2);
                even = TLanes.Min(even, TLanes.Load32(in Unsafe.Add(ref seconds, list * Width)));
                odd = TLanes.Min(odd, TLanes.Load32(in Unsafe.Add(ref seconds, Unsafe.Add(ref list, 1) * Width)));
            }

            list = ref Unsafe.Add(ref list, 2);
            TLanes best = TLanes.Min(even, odd), sum = TLanes.AddF(best, TLanes.Load32(in Unsafe.Add(ref firsts, codes[i] * Width))), less = TLanes.Less(sum, least);
            least = TLanes.Min(sum, least);
            key = TLanes.Select(less, (best & code) | TLanes.Broadcast((uint)codes[i] << Grid.SecondBits), key);
        }

        cost = least;
        return key;
    }

    /// <summary>The coordinates of the points of sixteen keys, transposed.</summary>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    public static void Coordinates<TLanes>(Grid grid, TLanes keys, Span<float> coordinates)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> rows = stackalloc float[8 * Width], bits = stackalloc float[Width];
        TLanes.Store32(keys, ref bits[0]);
        int dimensions = grid.Dimensions;
        ref float row = ref MemoryMarshal.GetReference(rows);
        for (int lane = 0; lane < Width; lane++)
        {
            ReadOnlySpan<float> point = grid.Point(grid.Number(BitConverter.SingleToInt32Bits(bits[lane])));
            for (int i = 0; i < dimensions; i += 4)
            {
                Vector128.LoadUnsafe(in MemoryMarshal.GetReference(point), (nuint)i).StoreUnsafe(ref row);
                row = ref Unsafe.Add(ref row, 4);
            }
        }

        ref float source = ref MemoryMarshal.GetReference(rows), target = ref MemoryMarshal.GetReference(coordinates);
        for (int lane = 0; lane < Width; lane += 4)
        {
            for (int i = 0; i < dimensions; i += 4)
            {
                Squares.Transpose(ref Unsafe.Add(ref source, (lane * dimensions) + i), dimensions, ref Unsafe.Add(ref target, (i * Width) + lane), Width);
            }
        }
    }

    /// <summary>The cost of every combination of levels in half a point.</summary>
    [SkipLocalsInit]
    [MethodImpl(LaneGroups.Kernel)]
    private static void Combine<TLanes>(Grid grid, ReadOnlySpan<float> targets, ReadOnlySpan<float> weights, Span<float> sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        ReadOnlySpan<float> levels = grid.Levels;
        Span<float> costs = stackalloc float[MaxHalfLevels * Width];
        int place = 0;
        for (int i = 0; i < targets.Length; i += Width)
        {
            TLanes target = TLanes.Load32(in targets[i]), weight = TLanes.Load32(in weights[i]);
            foreach (float level in levels)
            {
                TLanes difference = TLanes.SubtractF(target, LaneMath.Single<TLanes>(level));
                TLanes.Store32(TLanes.MultiplyF(TLanes.MultiplyF(difference, difference), weight), ref costs[place]);
                place += Width;
            }
        }

        int row = levels.Length * Width;
        if (grid.Dimensions == 4)
        {
            Add<TLanes>(costs[..row], costs.Slice(row, row), sums);
            return;
        }

        Span<float> left = stackalloc float[9 * Width], right = stackalloc float[9 * Width];
        Add<TLanes>(costs[..row], costs.Slice(row, row), left);
        Add<TLanes>(costs.Slice(2 * row, row), costs.Slice(3 * row, row), right);
        Add<TLanes>(left, right, sums);
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static void Add<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float sum = ref MemoryMarshal.GetReference(sums);
        for (int i = 0; i < left.Length; i += Width)
        {
            TLanes cost = TLanes.Load32(in left[i]);
            for (int j = 0; j < right.Length; j += Width)
            {
                TLanes.Store32(TLanes.AddF(cost, TLanes.Load32(in right[j])), ref sum);
                sum = ref Unsafe.Add(ref sum, Width);
            }
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Sixteen groups of weights side by side, one to a lane: element i of group g stands at 16 i + g. The weights of a block are in units of a power of two near
/// their largest magnitude, so that sums of squares neither overflow nor vanish; scales in real units are the search's scales times that unit.
/// </summary>
/// <param name="size">Weights in a group; a multiple of 16.</param>
/// <param name="groupsInBlock">Groups of a block.</param>
/// <param name="values">Room for sixteen groups.</param>
/// <param name="weights">Room for sixteen groups.</param>
/// <param name="units">Room for sixteen numbers.</param>
internal ref struct LaneGroups(int size, int groupsInBlock, Span<float> values, Span<float> weights, Span<float> units)
{
    /// <summary>Groups in a batch; missing ones are zeros.</summary>
    public const int Width = LaneMath.Width;

    /// <summary>
    /// Options of methods that loop over lanes: slow without optimization, and not to be inlined, for then a larger method might run out of the compiler's budget for
    /// inlining the operations themselves.
    /// </summary>
    public const MethodImplOptions Kernel = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    private const uint Infinity = 0x7F80_0000;

    /// <summary>Weights in a group.</summary>
    public readonly int Size => size;

    /// <summary>Groups of a block.</summary>
    public readonly int GroupsInBlock => groupsInBlock;

    /// <summary>Groups that are there.</summary>
    public int Count { get; private set; }

    /// <summary>The weights in units of their block.</summary>
    public Span<float> Values { get; } = values;

    /// <summary>How much each counts.</summary>
    public Span<float> Weights { get; } = weights;

    /// <summary>The unit of each group: a power of two.</summary>
    public Span<float> Units { get; } = units;

    /// <summary>Takes over how much each weight counts.</summary>
    public readonly void LoadWeights(ReadOnlySpan<float> source)
    {
        Weights.Fill(1);
        Transpose(source, Weights);
    }

    /// <summary>Takes over the weights of whole blocks; false where one of them is infinite or NaN.</summary>
    [MethodImpl(Kernel)]
    public bool LoadValues<TLanes>(ReadOnlySpan<float> source)
        where TLanes : struct, ILanes16<TLanes>
    {
        Count = source.Length / size;
        if (Count < Width)
        {
            Values.Clear();
        }

        Transpose(source, Values);
        TLanes magnitude = TLanes.Broadcast(0x7FFF_FFFF), largest = TLanes.Broadcast(0);
        for (int i = 0; i < Values.Length; i += Width)
        {
            largest = TLanes.Max(largest, TLanes.Load32(in Values[i]) & magnitude);
        }

        TLanes.Store32(largest, ref Units[0]);
        for (int start = 0; groupsInBlock > 1 && start < Count; start += groupsInBlock)
        {
            Span<float> block = Units.Slice(start, groupsInBlock);
            float most = 0;
            foreach (float group in block)
            {
                most = Math.Max(most, group);
            }

            block.Fill(most);
        }

        TLanes power = Unit(TLanes.Load32(in Units[0]));
        TLanes.Store32(power, ref Units[0]);
        TLanes inverse = TLanes.DivideF(LaneMath.Single<TLanes>(1), power);
        for (int i = 0; i < Values.Length; i += Width)
        {
            TLanes.Store32(TLanes.MultiplyF(TLanes.Load32(in Values[i]), inverse), ref Values[i]);
        }

        return TLanes.MaxLane(largest) < Infinity;
    }

    /// <summary>The power of two at or below a largest magnitude, within what has a finite reciprocal; 1 for zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Unit<TLanes>(TLanes largest)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes power = TLanes.Min(TLanes.Max(largest & TLanes.Broadcast(Infinity), TLanes.Broadcast(0x0080_0000)), TLanes.Broadcast(0x7E80_0000));
        return TLanes.Select(TLanes.Less(TLanes.Broadcast(0), largest), power, LaneMath.Single<TLanes>(1));
    }

    /// <inheritdoc cref="Unit{TLanes}(TLanes)"/>
    public static float Unit(float largest)
    {
        uint power = BitConverter.SingleToUInt32Bits(largest) & Infinity;
        return largest > 0 ? BitConverter.UInt32BitsToSingle(Math.Min(Math.Max(power, 0x0080_0000), 0x7E80_0000)) : 1;
    }

    /// <summary>What the values must be multiplied with to be in units of real scales.</summary>
    public readonly TLanes Inverse<TLanes>(ReadOnlySpan<float> scales)
        where TLanes : struct, ILanes16<TLanes> =>
        HalfScale.Inverse(TLanes.DivideF(TLanes.Load32(in scales[0]), TLanes.Load32(in Units[0])));

    /// <summary>Writes element i of group g to 16 i + g.</summary>
    [MethodImpl(Kernel)]
    public readonly void Transpose(ReadOnlySpan<float> source, Span<float> target)
    {
        int count = source.Length / size, group = 0;
        for (; group <= count - 4; group += 4)
        {
            ref float rows = ref MemoryMarshal.GetReference(source.Slice(group * size, 4 * size));
            ref float columns = ref Unsafe.Add(ref MemoryMarshal.GetReference(target), group);
            for (int i = 0; i < size; i += 4)
            {
                Squares.Transpose(ref Unsafe.Add(ref rows, i), size, ref Unsafe.Add(ref columns, i * Width), Width);
            }
        }

        for (; group < count; group++)
        {
            for (int i = 0; i < size; i++)
            {
                target[(i * Width) + group] = source[(group * size) + i];
            }
        }
    }
}

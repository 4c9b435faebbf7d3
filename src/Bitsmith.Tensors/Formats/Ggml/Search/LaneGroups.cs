using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Sixteen groups of weights side by side, one to a lane: element i of group g stands at 16 i + g. The weights of a block are in units of a power of two near
/// their largest magnitude, so that sums of squares neither overflow nor vanish; scales in real units are the search's scales times that unit.
/// </summary>
internal readonly ref struct LaneGroups
{
    /// <summary>Groups in a batch; missing ones are zeros.</summary>
    public const int Width = LaneMath.Width;

    /// <summary>Takes the groups of whole blocks; the spans have room for sixteen groups.</summary>
    public LaneGroups(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize, int groupsInBlock, Span<float> laneValues, Span<float> laneWeights, Span<float> units)
    {
        (Size, GroupsInBlock, Count) = (groupSize, groupsInBlock, values.Length / groupSize);
        Values = laneValues[..(groupSize * Width)];
        Weights = laneWeights[..(groupSize * Width)];
        Units = units;
        if (Count < Width)
        {
            laneValues.Clear();
            laneWeights.Fill(1);
            units.Fill(1);
        }

        int blockSize = groupSize * groupsInBlock;
        for (int group = 0; group < Count; group += groupsInBlock)
        {
            float unit = Unit(values.Slice(group * groupSize, blockSize));
            units.Slice(group, groupsInBlock).Fill(unit);
        }

        for (int group = 0; group < Count; group++)
        {
            float inverse = 1 / units[group];
            ref float x = ref MemoryMarshal.GetReference(values.Slice(group * groupSize, groupSize));
            ref float w = ref MemoryMarshal.GetReference(weights.Slice(group * groupSize, groupSize));
            ref float laneX = ref Unsafe.Add(ref MemoryMarshal.GetReference(laneValues), group);
            ref float laneW = ref Unsafe.Add(ref MemoryMarshal.GetReference(laneWeights), group);
            for (int i = 0; i < groupSize; i++)
            {
                Unsafe.Add(ref laneX, i * Width) = Unsafe.Add(ref x, i) * inverse;
                Unsafe.Add(ref laneW, i * Width) = Unsafe.Add(ref w, i);
            }
        }
    }

    /// <summary>Weights in a group.</summary>
    public int Size { get; }

    /// <summary>Groups of a block.</summary>
    public int GroupsInBlock { get; }

    /// <summary>Groups that are there.</summary>
    public int Count { get; }

    /// <summary>The weights in units of their block.</summary>
    public Span<float> Values { get; }

    /// <summary>How much each counts.</summary>
    public Span<float> Weights { get; }

    /// <summary>The unit of each group: a power of two.</summary>
    public ReadOnlySpan<float> Units { get; }

    /// <summary>The power of two at or below the largest magnitude, within what has a finite reciprocal; 1 for zeros.</summary>
    private static float Unit(ReadOnlySpan<float> values)
    {
        uint largest = 0;
        foreach (uint bits in MemoryMarshal.Cast<float, uint>(values))
        {
            largest = Math.Max(largest, bits & 0x7FFF_FFFF);
        }

        return largest == 0 ? 1 : BitConverter.UInt32BitsToSingle(Math.Clamp(largest & 0x7F80_0000, 0x0080_0000, 0x7E80_0000));
    }
}

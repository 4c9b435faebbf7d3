using System.Runtime.CompilerServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>A format whose blocks are encoded several at a time, sixteen groups of weights in sixteen lanes, to the same bytes on every instruction set.</summary>
internal interface ILaneEncoder
{
    /// <summary>Weights in a group: those that share a scale, or another part of a block that is searched for alone.</summary>
    static abstract int GroupSize { get; }

    /// <summary>Encodes as many whole blocks as sixteen groups make up, or fewer; the bytes of each depend on its own weights alone.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="values">The weights of the blocks, in their order.</param>
    /// <param name="blocks">Receives the blocks.</param>
    static abstract void EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
        where TLanes : struct, ILanes16<TLanes>;
}

/// <summary>Runs an <see cref="ILaneEncoder"/> on the instruction set that is asked for.</summary>
internal static class LaneEncoding
{
    /// <summary>Encodes rows.</summary>
    public static void Encode<TEncoder>(
        GgmlFormat format, ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
        where TEncoder : ILaneEncoder
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                Run<TEncoder, Lanes512>(format, values, columns, weights, blocks);
                break;
            case InstructionSet.Avx2:
                Run<TEncoder, Lanes256>(format, values, columns, weights, blocks);
                break;
            case InstructionSet.Vector128:
                Run<TEncoder, Lanes128>(format, values, columns, weights, blocks);
                break;
            default:
                Run<TEncoder, ScalarLanes>(format, values, columns, weights, blocks);
                break;
        }
    }

    [SkipLocalsInit]
    private static void Run<TEncoder, TLanes>(GgmlFormat format, ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks)
        where TEncoder : ILaneEncoder
        where TLanes : struct, ILanes16<TLanes>
    {
        int room = TEncoder.GroupSize * LaneGroups.Width, groupsInBlock = format.BlockValues / TEncoder.GroupSize;
        Span<float> laneValues = stackalloc float[room], laneWeights = stackalloc float[room], units = stackalloc float[LaneGroups.Width];
        LaneGroups lanes = new(TEncoder.GroupSize, groupsInBlock, laneValues, laneWeights, units);

        // Rows within columns: the weights are brought into lanes once for all rows.
        int rowBytes = columns / format.BlockValues * format.BlockBytes;
        for (int start = 0; start < columns; start += room)
        {
            int length = Math.Min(room, columns - start), place = start / format.BlockValues * format.BlockBytes;
            lanes.LoadWeights(weights.Slice(start, length));
            for (int row = 0; row < values.Length / columns; row++)
            {
                ReadOnlySpan<float> source = values.Slice((row * columns) + start, length);
                if (!lanes.LoadValues<TLanes>(source))
                {
                    NonFiniteWeightException.ThrowIfAny(values, columns);
                }

                TEncoder.EncodeBlocks<TLanes>(lanes, source, blocks.Slice((row * rowBytes) + place, length / format.BlockValues * format.BlockBytes));
            }
        }
    }
}

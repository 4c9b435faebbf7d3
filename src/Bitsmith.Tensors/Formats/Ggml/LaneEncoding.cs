using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>A format whose blocks are encoded several at a time in sixteen lanes, to the same bytes on every instruction set.</summary>
internal interface ILaneEncoder
{
    /// <summary>The most blocks that are encoded together.</summary>
    static abstract int BatchBlocks { get; }

    /// <summary>Encodes up to <see cref="BatchBlocks"/> blocks; the bytes of each depend on its own weights alone.</summary>
    static abstract void EncodeBlocks<TLanes>(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks)
        where TLanes : struct, ILanes16<TLanes>;
}

/// <summary>Runs an <see cref="ILaneEncoder"/> on the instruction set that is asked for.</summary>
internal static class LaneEncoding
{
    /// <summary>Encodes a row.</summary>
    public static void Encode<TEncoder>(GgmlFormat format, ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
        where TEncoder : ILaneEncoder
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                Run<TEncoder, Lanes512>(format, values, weights, blocks);
                break;
            case InstructionSet.Avx2:
                Run<TEncoder, Lanes256>(format, values, weights, blocks);
                break;
            case InstructionSet.Vector128:
                Run<TEncoder, Lanes128>(format, values, weights, blocks);
                break;
            default:
                Run<TEncoder, ScalarLanes>(format, values, weights, blocks);
                break;
        }
    }

    private static void Run<TEncoder, TLanes>(GgmlFormat format, ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks)
        where TEncoder : ILaneEncoder
        where TLanes : struct, ILanes16<TLanes>
    {
        int batch = TEncoder.BatchBlocks * format.BlockValues;
        for (int start = 0; start < values.Length; start += batch)
        {
            int length = Math.Min(batch, values.Length - start);
            TEncoder.EncodeBlocks<TLanes>(
                values.Slice(start, length), weights.Slice(start, length), blocks.Slice(start / format.BlockValues * format.BlockBytes, length / format.BlockValues * format.BlockBytes));
        }
    }
}

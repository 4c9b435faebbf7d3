using System.Runtime.CompilerServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>A format whose blocks decode sixteen values at a time, to the bits of the scalar decoder.</summary>
internal interface ILaneDecoder
{
    static abstract void DecodeBlock<TLanes>(ReadOnlySpan<byte> block, Span<float> values)
        where TLanes : struct, ILanes16<TLanes>;
}

/// <summary>Runs an <see cref="ILaneDecoder"/> on the instruction set that is asked for.</summary>
internal static class LaneDecoding
{
    // The binary32 value 2^23: an integer below 2^23 put into its significand adds just that integer.
    private const uint Magic = 0x4B00_0000;
    private const float MagicValue = 8388608;

    /// <summary>Decodes whole blocks; false, and nothing done, for <see cref="InstructionSet.Scalar"/>.</summary>
    public static bool Decode<TDecoder>(GgmlFormat format, ReadOnlySpan<byte> blocks, Span<float> values, InstructionSet set)
        where TDecoder : ILaneDecoder
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                Run<TDecoder, Lanes512>(format, blocks, values);
                return true;
            case InstructionSet.Avx2:
                Run<TDecoder, Lanes256>(format, blocks, values);
                return true;
            case InstructionSet.Vector128:
                Run<TDecoder, Lanes128>(format, blocks, values);
                return true;
            default:
                return false;
        }
    }

    /// <summary>The binary32 values of integers below 2^23, less <paramref name="bias"/>; exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ToSingle<TLanes>(TLanes integers, int bias)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.SubtractF(integers | TLanes.Broadcast(Magic), LaneMath.Single<TLanes>(MagicValue + bias));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TDecoder, TLanes>(GgmlFormat format, ReadOnlySpan<byte> blocks, Span<float> values)
        where TDecoder : ILaneDecoder
        where TLanes : struct, ILanes16<TLanes>
    {
        for (; values.Length > 0; blocks = blocks[format.BlockBytes..], values = values[format.BlockValues..])
        {
            TDecoder.DecodeBlock<TLanes>(blocks[..format.BlockBytes], values[..format.BlockValues]);
        }
    }
}

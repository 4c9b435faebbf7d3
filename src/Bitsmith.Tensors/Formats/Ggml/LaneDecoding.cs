using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>Decodes blocks sixteen values at a time, to the bits of the scalar decoder.</summary>
internal static class LaneDecoding
{
    // The binary32 value 2^23: an integer below 2^23 put into its significand adds just that integer.
    private const uint Magic = 0x4B00_0000;
    private const float MagicValue = 8388608;

    // As many values as Unpack takes at a time; blocks of all types divide it.
    private const int MostUnpacked = 256;

    /// <summary>Decodes whole blocks by way of <see cref="GgmlFormat.Unpack"/>; false, and nothing done, for <see cref="InstructionSet.Scalar"/>.</summary>
    public static bool Decode(GgmlFormat format, ReadOnlySpan<byte> blocks, Span<float> values, InstructionSet set)
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                Decode<Lanes512>(format, blocks, values);
                return true;
            case InstructionSet.Avx2:
                Decode<Lanes256>(format, blocks, values);
                return true;
            case InstructionSet.Vector128:
                Decode<Lanes128>(format, blocks, values);
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
    private static void Decode<TLanes>(GgmlFormat format, ReadOnlySpan<byte> blocks, Span<float> values)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<sbyte> codes = stackalloc sbyte[MostUnpacked];
        Span<float> scales = stackalloc float[MostUnpacked / LaneMath.Width], minima = stackalloc float[scales.Length];
        TLanes sign = TLanes.Broadcast(0x80);
        minima.Clear();
        for (int start = 0; start < values.Length; start += MostUnpacked)
        {
            int count = Math.Min(MostUnpacked, values.Length - start), groups = count / LaneMath.Width, bytes = format.BlockBytes;
            format.Unpack(blocks.Slice(start / format.BlockValues * bytes, count / format.BlockValues * bytes), codes[..count], scales[..groups], minima[..groups]);
            for (int group = 0; group < groups; group++)
            {
                TLanes code = ToSingle(TLanes.Load8(in MemoryMarshal.AsBytes(codes)[LaneMath.Width * group]) ^ sign, 128);
                TLanes value = TLanes.MultiplyF(LaneMath.Single<TLanes>(scales[group]), code);
                value = format.HasMinima ? TLanes.SubtractF(value, LaneMath.Single<TLanes>(minima[group])) : value;
                TLanes.Store32(value, ref values[start + (LaneMath.Width * group)]);
            }
        }
    }
}

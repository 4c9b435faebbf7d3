using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>Decodes 4-bit codes, two to a byte, the even column in the lower half: value = T((level of the code - zero point of the group) * scale of the group).</summary>
internal static class NibbleGroups
{
    /// <summary>The most groups whose scales are decoded at a time.</summary>
    public const int MostGroups = 256;

    private static readonly float[] Int4Table = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];
    private static readonly float[] E2M1Table = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    /// <summary>What the codes of <see cref="Int4Group"/> stand for.</summary>
    public static ReadOnlySpan<float> Int4 => Int4Table;

    /// <summary>What the codes of <see cref="NvFp4Group"/> stand for: e2m1.</summary>
    public static ReadOnlySpan<float> E2M1 => E2M1Table;

    /// <summary>The codes of 16 columns, one to a byte.</summary>
    /// <param name="packed">Eight bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Unpack(ulong packed)
    {
        Vector128<ushort> wide = Vector128.WidenLower(Vector128.CreateScalarUnsafe(packed).AsByte());
        return ((wide | (wide << 4)) & Vector128.Create((ushort)0x0F0F)).AsByte();
    }

    /// <summary>Decodes groups.</summary>
    /// <param name="levels">What each of sixteen codes stands for.</param>
    /// <param name="type">T.</param>
    /// <param name="packed">Half a byte for each value.</param>
    /// <param name="scales">A scale for each group.</param>
    /// <param name="zeros">What is subtracted from the levels of each group; empty for nothing.</param>
    /// <param name="groupSize">Columns of a group; a multiple of 16.</param>
    /// <param name="values">Receives the values.</param>
    /// <param name="set">Kernels; all give the same bits.</param>
    public static void Decode(
        ReadOnlySpan<float> levels, ElementType type, ReadOnlySpan<byte> packed, ReadOnlySpan<float> scales, ReadOnlySpan<float> zeros, int groupSize, Span<float> values, InstructionSet set)
    {
        switch (type)
        {
            case ElementType.BF16:
                Decode<BFloat16Weights>(levels, packed, scales, zeros, groupSize, values, set);
                break;
            case ElementType.F16:
                Decode<HalfWeights>(levels, packed, scales, zeros, groupSize, values, set);
                break;
            default:
                Decode<SingleWeights>(levels, packed, scales, zeros, groupSize, values, set);
                break;
        }
    }

    private static void Decode<TRounding>(
        ReadOnlySpan<float> levels, ReadOnlySpan<byte> packed, ReadOnlySpan<float> scales, ReadOnlySpan<float> zeros, int groupSize, Span<float> values, InstructionSet set)
        where TRounding : struct, IWeightRounding
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                Decode<TRounding, Lanes512>(levels, packed, scales, zeros, groupSize, values);
                break;
            case InstructionSet.Avx2:
                Decode<TRounding, Lanes256>(levels, packed, scales, zeros, groupSize, values);
                break;
            case InstructionSet.Vector128:
                Decode<TRounding, Lanes128>(levels, packed, scales, zeros, groupSize, values);
                break;
            default:
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = TRounding.Round((levels[(packed[i / 2] >> (i % 2 * 4)) & 15] - (zeros.IsEmpty ? 0 : zeros[i / groupSize])) * scales[i / groupSize]);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static void Decode<TRounding, TLanes>(ReadOnlySpan<float> levels, ReadOnlySpan<byte> packed, ReadOnlySpan<float> scales, ReadOnlySpan<float> zeros, int groupSize, Span<float> values)
        where TRounding : struct, IWeightRounding
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<byte> codes = stackalloc byte[LaneMath.Width];
        ref byte code = ref MemoryMarshal.GetReference(codes), source = ref MemoryMarshal.GetReference(packed);
        ref float target = ref MemoryMarshal.GetReference(values);
        TLanes table = TLanes.Load32(in MemoryMarshal.GetReference(levels));
        for (int group = 0, place = 0; group < scales.Length; group++)
        {
            TLanes scale = LaneMath.Single<TLanes>(scales[group]), from = zeros.IsEmpty ? table : TLanes.SubtractF(table, LaneMath.Single<TLanes>(zeros[group]));
            for (int end = place + groupSize; place < end; place += LaneMath.Width)
            {
                Unpack(Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref source, place / 2))).StoreUnsafe(ref code);
                TLanes.Store32(TRounding.Round(TLanes.MultiplyF(TLanes.Pick(from, TLanes.Load8(in code)), scale)), ref Unsafe.Add(ref target, place));
            }
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices.Packed;

/// <summary>Which columns of an input share a scale when it is rounded to 8 bits.</summary>
internal enum InputBlocks
{
    /// <summary>32, with a binary16 scale: as ggml's Q8_0, which meets the types with blocks of fewer than 256 values.</summary>
    Small,

    /// <summary>As <see cref="Small"/>, and a block's sum of codes times scale is rounded to binary16: as ggml's Q8_1, which meets those of these types that have offsets.</summary>
    SmallWithSums,

    /// <summary>256, with a binary32 scale: as ggml's Q8_K, which meets the types with blocks of 256 values.</summary>
    Super,
}

/// <summary>
/// Rounds inputs to 8-bit blocks as llama.cpp does on x86, to the same codes and scales on every instruction set. A block with an input that is not finite gets the scale NaN.
/// </summary>
internal static unsafe class InputRounding
{
    private const int SmallBlock = 32;
    private const uint Magnitude = 0x7FFF_FFFF, Infinity = 0x7F80_0000;

    // 1.5 · 2^23: added to a number of small magnitude, it leaves the nearest integer, ties to even, in the lowest bits.
    private const float Rounder = 12582912;

    /// <summary>The blocks that weights of a format meet.</summary>
    public static InputBlocks For(GgmlFormat format) =>
        format.BlockValues == PackedStep.Columns ? InputBlocks.Super : format.HasMinima ? InputBlocks.SmallWithSums : InputBlocks.Small;

    /// <summary>Columns that share a scale.</summary>
    public static int BlockValues(InputBlocks blocks) => blocks == InputBlocks.Super ? PackedStep.Columns : SmallBlock;

    /// <summary>Rounds the inputs of a token.</summary>
    /// <param name="blocks">Kind.</param>
    /// <param name="values">The inputs.</param>
    /// <param name="target">Receives <see cref="PackedStep.Count"/> steps of <see cref="PackedStep.InputBytes"/>; aligned to 64.</param>
    /// <param name="set">Kernels.</param>
    public static void Pack(InputBlocks blocks, ReadOnlySpan<float> values, byte* target, InstructionSet set)
    {
        switch (set)
        {
            case InstructionSet.Avx512:
                Pack<Lanes512>(blocks, values, target);
                break;
            case InstructionSet.Avx2:
                Pack<Lanes256>(blocks, values, target);
                break;
            default:
                Pack<Lanes128>(blocks, values, target);
                break;
        }
    }

    private static void Pack<TLanes>(InputBlocks blocks, ReadOnlySpan<float> values, byte* target)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> padded = stackalloc float[PackedStep.Columns], scales = stackalloc float[PackedStep.Lanes], sums = stackalloc float[PackedStep.Lanes], steps = stackalloc float[PackedStep.Columns / SmallBlock];
        Span<sbyte> codes = stackalloc sbyte[PackedStep.Codes];
        for (; !values.IsEmpty; values = values[Math.Min(values.Length, PackedStep.Columns)..], target += PackedStep.InputBytes)
        {
            scoped ReadOnlySpan<float> step = values;
            if (values.Length < PackedStep.Columns)
            {
                padded.Clear();
                values.CopyTo(padded);
                step = padded;
            }

            if (blocks == InputBlocks.Super)
            {
                scales.Fill(RoundSuper<TLanes>(step[..PackedStep.Columns], codes));
            }
            else
            {
                for (int block = 0; block < steps.Length; block++)
                {
                    steps[block] = RoundSmall<TLanes>(step.Slice(block * SmallBlock, SmallBlock), codes.Slice(block * SmallBlock, SmallBlock));
                    scales[2 * block] = scales[(2 * block) + 1] = (float)(Half)steps[block];
                }
            }

            PackedStep.Interleave(codes, target, 0);
            PackedStep.Interleave(scales, (float*)(target + PackedStep.InputScalesAt));
            for (int group = 0; group < PackedStep.Lanes; group++)
            {
                sums[group] = Sum(codes.Slice(group * Unpacking.Group, Unpacking.Group));
                ((int*)(target + PackedStep.CorrectionsAt))[PackedStep.LaneOf(group)] = -128 * (int)sums[group];
            }

            if (blocks == InputBlocks.SmallWithSums)
            {
                RoundSums(steps, scales, sums);
            }

            PackedStep.Interleave(sums, (float*)(target + PackedStep.SumsAt));
        }
    }

    /// <summary>Rounds each block's sum times its step, before that is rounded itself, and divides by the scale again, with which the product multiplies it. It stands in the block's first group.</summary>
    private static void RoundSums(ReadOnlySpan<float> steps, ReadOnlySpan<float> scales, Span<float> sums)
    {
        for (int block = 0; block < steps.Length; block++)
        {
            float sum = (float)(Half)(steps[block] * (sums[2 * block] + sums[(2 * block) + 1]));
            (sums[2 * block], sums[(2 * block) + 1]) = (scales[2 * block] == 0 ? 0 : sum / scales[2 * block], 0);
        }
    }

    /// <summary>Returns the step between codes, which becomes the scale when it is rounded.</summary>
    private static float RoundSmall<TLanes>(ReadOnlySpan<float> values, Span<sbyte> codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        uint largest = Largest<TLanes>(values);
        float magnitude = BitConverter.UInt32BitsToSingle(largest), inverse = magnitude == 0 ? 0 : 127 / magnitude;
        if (largest >= Infinity || !float.IsFinite(inverse))
        {
            codes.Clear();
            return largest >= Infinity ? float.NaN : 0;
        }

        Round<TLanes>(values, inverse, codes);
        return magnitude / 127;
    }

    private static float RoundSuper<TLanes>(ReadOnlySpan<float> values, Span<sbyte> codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        // The first input of largest magnitude becomes -127.
        uint largest = Largest<TLanes>(values);
        float extreme = BitConverter.UInt32BitsToSingle(largest), inverse = 127 / extreme;
        if (largest >= Infinity || !float.IsFinite(inverse))
        {
            codes.Clear();
            return largest >= Infinity ? float.NaN : 0;
        }

        int upper = values.IndexOf(extreme), lower = values.IndexOf(-extreme);
        inverse = lower < 0 || (upper >= 0 && upper < lower) ? -inverse : inverse;
        Round<TLanes>(values, inverse, codes);
        return 1 / inverse;
    }

    // Bits of finite numbers are ordered as their magnitudes, and below those of infinity and NaN.
    private static uint Largest<TLanes>(ReadOnlySpan<float> values)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float first = ref MemoryMarshal.GetReference(values);
        TLanes mask = TLanes.Broadcast(Magnitude), largest = TLanes.Broadcast(0);
        for (int i = 0; i < values.Length; i += LaneMath.Width)
        {
            largest = TLanes.Max(largest, TLanes.Load32(in Unsafe.Add(ref first, i)) & mask);
        }

        return TLanes.MaxLane(largest);
    }

    private static void Round<TLanes>(ReadOnlySpan<float> values, float inverse, Span<sbyte> codes)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float first = ref MemoryMarshal.GetReference(values);
        ref byte target = ref Unsafe.As<sbyte, byte>(ref MemoryMarshal.GetReference(codes));
        TLanes factor = LaneMath.Single<TLanes>(inverse), rounder = LaneMath.Single<TLanes>(Rounder);
        for (int i = 0; i < values.Length; i += LaneMath.Width)
        {
            TLanes scaled = TLanes.MultiplyF(TLanes.Load32(in Unsafe.Add(ref first, i)), factor);
            TLanes.Store8(TLanes.AddF(scaled, rounder) & TLanes.Broadcast(0xFF), ref Unsafe.Add(ref target, i));
        }
    }

    private static int Sum(ReadOnlySpan<sbyte> codes)
    {
        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(Vector128.Create(codes));
        return Vector128.Sum(low + high);
    }
}

using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// Quantization of activations to NVFP4 in groups of 16 features, and back: what a W4A4 client computes with. The global scale is fixed, from calibration; the e4m3fn scale of each group is that of its values at
/// run time. In binary32: scale = e4m3fn(global · max|x| / 6), at most 448, 0.125 where that is zero; result = e2m1(x / (scale / global)) · (scale / global).
/// </summary>
/// <remarks>Source: compressed-tensors 0.17.1. With BF16 activations, it rounds max|x| / 6 and the result to BF16.</remarks>
public static class NvFp4Activations
{
    /// <summary>Quantizes and decodes.</summary>
    /// <param name="input">Rows of features; the row length is a multiple of 16.</param>
    /// <param name="globalScale">The input's global scale, a divisor: finite and positive.</param>
    /// <param name="output">Receives the decoded values; may be the input.</param>
    /// <param name="isBFloat16">The input holds BF16 values, and so will the output.</param>
    /// <param name="instructionSet">The kernels to use; all give the same bits.</param>
    /// <exception cref="ArgumentException">The lengths differ or are no multiple of 16.</exception>
    public static void RoundTrip(ReadOnlySpan<float> input, float globalScale, Span<float> output, bool isBFloat16, InstructionSet instructionSet)
    {
        if (input.Length != output.Length || input.Length % NvFp4Group.Columns != 0)
        {
            throw new ArgumentException($"{input.Length} values do not divide into groups of {NvFp4Group.Columns}, or do not fit {output.Length}.");
        }

        switch (instructionSet)
        {
            case InstructionSet.Avx512:
                RoundTrip<Lanes512>(input, globalScale, output, isBFloat16);
                break;
            case InstructionSet.Avx2:
                RoundTrip<Lanes256>(input, globalScale, output, isBFloat16);
                break;
            case InstructionSet.Vector128:
                RoundTrip<Lanes128>(input, globalScale, output, isBFloat16);
                break;
            default:
                Define(input, globalScale, output, isBFloat16);
                break;
        }
    }

    private static void Define(ReadOnlySpan<float> input, float globalScale, Span<float> output, bool isBFloat16)
    {
        for (int start = 0; start < input.Length; start += NvFp4Group.Columns)
        {
            float largest = 0;
            foreach (float value in input.Slice(start, NvFp4Group.Columns))
            {
                largest = MathF.Max(largest, MathF.Abs(value));
            }

            float scale = Scale(largest, globalScale, isBFloat16);
            for (int i = start; i < start + NvFp4Group.Columns; i++)
            {
                float value = NvFp4Group.NearestE2M1(input[i] / scale).Value * scale;
                output[i] = isBFloat16 ? BFloat16.Round(value) : value;
            }
        }
    }

    private static void RoundTrip<TLanes>(ReadOnlySpan<float> input, float globalScale, Span<float> output, bool isBFloat16)
        where TLanes : struct, ILanes16<TLanes>
    {
        for (int start = 0; start < input.Length; start += NvFp4Group.Columns)
        {
            TLanes x = TLanes.Load32(in input[start]);
            float largest = BitConverter.UInt32BitsToSingle(TLanes.MaxLane(x & TLanes.Broadcast(0x7FFF_FFFF)));
            TLanes scale = LaneMath.Single<TLanes>(Scale(largest, globalScale, isBFloat16));
            TLanes value = TLanes.MultiplyF(NvFp4Group.NearestE2M1(TLanes.DivideF(x, scale)).Value, scale);
            TLanes.Store32(isBFloat16 ? LaneMath.RoundToBFloat16(value) : value, ref output[start]);
        }
    }

    private static float Scale(float largest, float globalScale, bool isBFloat16)
    {
        float sixth = largest / NvFp4Group.LargestCode;
        return NvFp4Group.LibraryScale(isBFloat16 ? BFloat16.Round(sixth) : sixth, globalScale).Scale;
    }
}

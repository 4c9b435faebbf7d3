using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices.Packed;

/// <summary>What a kernel of integer products is told; the layout is known to the assembled code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PackedArguments
{
    public const int SumsAt = 0, WeightsAt = 8, WeightStrideAt = 16, InputsAt = 24, InputStrideAt = 32, StepsAt = 40;

    /// <summary>[rows][tokens][16] sums.</summary>
    public float* Sums;

    /// <summary>First step of the first row.</summary>
    public byte* Weights;

    /// <summary>Bytes from a row to the next.</summary>
    public nint WeightStride;

    /// <summary>First step of the first token.</summary>
    public byte* Inputs;

    /// <summary>Bytes from a token to the next.</summary>
    public nint InputStride;

    /// <summary>Steps, at least 1.</summary>
    public nint Steps;
}

/// <summary>
/// Integer products of rows × tokens. In each step a lane's sum of 16 products of codes, n, adds (n · scale - minimum · sum of the input's codes) · the input's scale to the lane's binary32 sum. No
/// operation is fused, so that all kernels give the same bits.
/// </summary>
internal static unsafe class PackedTiles
{
    /// <summary>Most rows of a tile.</summary>
    public const int MaxRows = PackedKernels.MaxRows;

    /// <summary>Most tokens of a tile.</summary>
    public const int MaxTokens = PackedKernels.MaxTokens;

    /// <summary>Makes the sums of a tile.</summary>
    /// <param name="set">Kernels.</param>
    /// <param name="hasMinima">Whether weights have offsets.</param>
    /// <param name="rows">1 to <see cref="MaxRows"/>.</param>
    /// <param name="tokens">1 to <see cref="MaxTokens"/>.</param>
    /// <param name="arguments">Places.</param>
    public static void Run(InstructionSet set, bool hasMinima, int rows, int tokens, PackedArguments* arguments)
    {
        if (set == InstructionSet.Avx512 && PackedKernels.IsAvailable)
        {
            PackedKernels.Get(hasMinima, rows, tokens)(arguments);
            return;
        }

        float* sums = arguments->Sums;
        for (int row = 0; row < rows; row++)
        {
            for (int token = 0; token < tokens; token++, sums += PackedStep.Lanes)
            {
                byte* weights = arguments->Weights + (row * arguments->WeightStride), inputs = arguments->Inputs + (token * arguments->InputStride);
                switch (set)
                {
                    case InstructionSet.Avx512 or InstructionSet.Avx2:
                        Sum256(hasMinima, weights, inputs, arguments->Steps, sums);
                        break;
                    case InstructionSet.Vector128:
                        Sum128(hasMinima, weights, inputs, arguments->Steps, sums);
                        break;
                    default:
                        SumScalar(hasMinima, weights, inputs, arguments->Steps, sums);
                        break;
                }
            }
        }
    }

    /// <summary>The definition.</summary>
    private static void SumScalar(bool hasMinima, byte* weights, byte* inputs, nint steps, float* sums)
    {
        new Span<float>(sums, PackedStep.Lanes).Clear();
        for (; steps > 0; steps--, weights += PackedStep.WeightBytes(hasMinima), inputs += PackedStep.InputBytes)
        {
            for (int lane = 0; lane < PackedStep.Lanes; lane++)
            {
                int sum = ((int*)(inputs + PackedStep.CorrectionsAt))[lane];
                for (int i = 0; i < Formats.Ggml.Unpacking.Group; i++)
                {
                    int place = (i / 4 * PackedStep.LaneBytes) + (4 * lane) + (i % 4);
                    sum += weights[place] * (sbyte)inputs[place];
                }

                float term = sum * ((float*)(weights + PackedStep.WeightScalesAt))[lane];
                if (hasMinima)
                {
                    term -= ((float*)(weights + PackedStep.WeightMinimaAt))[lane] * ((float*)(inputs + PackedStep.SumsAt))[lane];
                }

                sums[lane] += term * ((float*)(inputs + PackedStep.InputScalesAt))[lane];
            }
        }
    }

    private static void Sum128(bool hasMinima, byte* weights, byte* inputs, nint steps, float* sums)
    {
        for (int lane = 0; lane < PackedStep.Lanes; lane += 4)
        {
            Vector128<float> total = Vector128<float>.Zero;
            byte* w = weights + (4 * lane), x = inputs + (4 * lane);
            for (nint step = 0; step < steps; step++, w += PackedStep.WeightBytes(hasMinima), x += PackedStep.InputBytes)
            {
                Vector128<int> sum = Vector128.Load((int*)(x + PackedStep.CorrectionsAt));
                for (int quarter = 0; quarter < PackedStep.Codes; quarter += PackedStep.LaneBytes)
                {
                    // Even and odd bytes as words, whose products fit into a word.
                    Vector128<short> weight = Vector128.Load(w + quarter).AsInt16(), input = Vector128.Load(x + quarter).AsInt16();
                    Vector128<int> even = ((weight & Vector128.Create((short)255)) * ((input << 8) >> 8)).AsInt32(), odd = ((weight >>> 8) * (input >> 8)).AsInt32();
                    sum += ((even << 16) >> 16) + (even >> 16) + ((odd << 16) >> 16) + (odd >> 16);
                }

                Vector128<float> term = Vector128.ConvertToSingle(sum) * Vector128.Load((float*)(w + PackedStep.WeightScalesAt));
                if (hasMinima)
                {
                    term -= Vector128.Load((float*)(w + PackedStep.WeightMinimaAt)) * Vector128.Load((float*)(x + PackedStep.SumsAt));
                }

                total += term * Vector128.Load((float*)(x + PackedStep.InputScalesAt));
            }

            total.Store(sums + lane);
        }
    }

    private static void Sum256(bool hasMinima, byte* weights, byte* inputs, nint steps, float* sums)
    {
        Vector256<float> first = Vector256<float>.Zero, second = Vector256<float>.Zero;
        for (; steps > 0; steps--, weights += PackedStep.WeightBytes(hasMinima), inputs += PackedStep.InputBytes)
        {
            first += Term256(hasMinima, weights, inputs);
            second += Term256(hasMinima, weights + Vector256<byte>.Count, inputs + Vector256<byte>.Count);
        }

        first.Store(sums);
        second.Store(sums + Vector256<float>.Count);
    }

    private static Vector256<float> Term256(bool hasMinima, byte* weights, byte* inputs)
    {
        Vector256<int> sum = Vector256.Load((int*)(inputs + PackedStep.CorrectionsAt));
        for (int quarter = 0; quarter < PackedStep.Codes; quarter += PackedStep.LaneBytes)
        {
            sum = Add4(sum, Vector256.Load(weights + quarter), Vector256.Load((sbyte*)inputs + quarter));
        }

        Vector256<float> term = Vector256.ConvertToSingle(sum) * Vector256.Load((float*)(weights + PackedStep.WeightScalesAt));
        if (hasMinima)
        {
            term -= Vector256.Load((float*)(weights + PackedStep.WeightMinimaAt)) * Vector256.Load((float*)(inputs + PackedStep.SumsAt));
        }

        return term * Vector256.Load((float*)(inputs + PackedStep.InputScalesAt));
    }

    /// <summary>Adds to each lane the products of its four bytes. The instruction for byte pairs would saturate.</summary>
    private static Vector256<int> Add4(Vector256<int> sum, Vector256<byte> weight, Vector256<sbyte> input)
    {
        if (AvxVnni.IsSupported)
        {
            return AvxVnni.MultiplyWideningAndAdd(sum, weight, input);
        }

        Vector256<short> weights = weight.AsInt16(), inputs = input.AsInt16();
        return sum + Avx2.MultiplyAddAdjacent(weights & Vector256.Create((short)255), (inputs << 8) >> 8) + Avx2.MultiplyAddAdjacent(weights >>> 8, inputs >> 8);
    }
}

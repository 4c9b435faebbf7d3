using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// NVFP4 as compressed-tensors' <c>nvfp4-pack-quantized</c> format stores it: an e2m1 code for each weight, an e4m3fn scale for each group of 16 consecutive columns, and one binary32 number for
/// the whole tensor, the global scale, which is a divisor; value = BF16(code * (scale / global)).
/// </summary>
/// <remarks>
/// <para>The library's encoder, with T(x) = x computed in binary32 and rounded to the weight's type T, nearest even; the rest is binary32:</para>
/// <list type="number">
/// <item>scale = e4m3fn(global * T(max|w| / 6)), at most 448; a scale of zero becomes 0.125;</item>
/// <item>y = w / (scale / global), clamped to [-6, 6];</item>
/// <item>code = e2m1(y), ties to even; a negative y that rounds to zero gives the code 8, -0 gives 0;</item>
/// <item>two codes to a byte, the even column in the lower half.</item>
/// </list>
/// <para>Source: compressed-tensors 0.17.1; the golden files of the tests hold its output.</para>
/// </remarks>
public static partial class NvFp4Group
{
    /// <summary>Columns that share a scale.</summary>
    public const int Columns = 16;

    /// <summary>The largest value of a code.</summary>
    public const float LargestCode = 6;

    // The product of the largest scale and the largest code.
    private const float LargestProduct = Float8E4M3.MaxValue * LargestCode;

    /// <summary>
    /// The library's global scale of a tensor, or of tensors that share one: T(T(1 / max|w|) * 2688), where max|w| is at least the smallest normal number of T; 1 where that is infinite. It is rounded
    /// twice, because PyTorch divides a number by a tensor as the tensor's reciprocal times the number.
    /// </summary>
    /// <param name="type">T: BF16, F16 or F32.</param>
    /// <param name="largest">max|w|.</param>
    /// <exception cref="ArgumentException">T is no weight type, or the largest magnitude is negative or not finite.</exception>
    public static float LibraryGlobalScale(ElementType type, float largest)
    {
        if (!(largest >= 0) || !float.IsFinite(largest))
        {
            throw new ArgumentException($"{largest} is no largest magnitude of finite weights.", nameof(largest));
        }

        return type switch
        {
            ElementType.BF16 => GlobalScale<BFloat16Weights>(largest),
            ElementType.F16 => GlobalScale<HalfWeights>(largest),
            ElementType.F32 => GlobalScale<SingleWeights>(largest),
            _ => throw new ArgumentException($"Weights in groups are F32, F16 or BF16, not {type.SafetensorsName()}.", nameof(type)),
        };
    }

    /// <summary>Encodes rows of a matrix.</summary>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">T: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns elements of T, row-major; the columns are a multiple of 16.</param>
    /// <param name="globalScale">The global scale of the whole tensor: finite and positive.</param>
    /// <param name="importance">How much each column counts for the best encoder; the library's takes no notice. Its length is the number of columns.</param>
    /// <param name="packed">Receives rows × columns / 2 bytes.</param>
    /// <param name="scales">Receives rows × columns / 16 e4m3fn scales.</param>
    /// <param name="errors">Receives the loss of each row, every column counting the same.</param>
    /// <param name="libraryErrors">With <see cref="WeightEncoder.Best"/>: receives what the library's encoder would have lost, for each row. Otherwise empty.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>. The bytes are the same with all of them.</param>
    /// <exception cref="ArgumentException">A span's length does not fit, the columns are no multiple of 16, T is no weight type, or the global scale is not positive and finite.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static void Encode(
        WeightEncoder encoder,
        ElementType type,
        ReadOnlySpan<byte> weights,
        float globalScale,
        ColumnWeights importance,
        Span<byte> packed,
        Span<byte> scales,
        Span<QuantizationError> errors,
        Span<QuantizationError> libraryErrors,
        InstructionSet? instructionSet = null)
    {
        ArgumentNullException.ThrowIfNull(importance);
        CheckGlobalScale(globalScale);
        GroupShape.Check(type, errors.Length, importance.Columns, Columns);
        GroupShape.CheckEncoding(encoder, type.Bytes(), errors.Length, importance.Columns, Columns, 1, weights.Length, packed.Length, scales.Length, libraryErrors.Length);
        InstructionSet set = instructionSet ?? Cpu.Default;
        switch (type)
        {
            case ElementType.BF16:
                GroupEncoding.Encode(new Codes<BFloat16Weights>(globalScale), encoder, type, weights, importance, packed, scales, [], errors, libraryErrors, set);
                break;
            case ElementType.F16:
                GroupEncoding.Encode(new Codes<HalfWeights>(globalScale), encoder, type, weights, importance, packed, scales, [], errors, libraryErrors, set);
                break;
            default:
                GroupEncoding.Encode(new Codes<SingleWeights>(globalScale), encoder, type, weights, importance, packed, scales, [], errors, libraryErrors, set);
                break;
        }
    }

    /// <summary>Encodes rows of a matrix with regard to the inputs that they meet: GPTQ; see <see cref="MomentFactor"/>.</summary>
    /// <param name="type">The type in which the library computes scales: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns; the columns are a multiple of 16.</param>
    /// <param name="globalScale">The global scale of the whole tensor: finite and positive.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="options">How long to go on.</param>
    /// <param name="packed">Receives rows × columns / 2 bytes.</param>
    /// <param name="scales">Receives rows × columns / 16 e4m3fn scales.</param>
    /// <param name="compute">Threads and kernels. The bytes do not depend on threads; on kernels they may.</param>
    /// <returns>What it costs the outputs.</returns>
    /// <exception cref="ArgumentException">A length does not fit, the columns are no multiple of 16, T is no weight type, or the global scale is not positive and finite.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, Memory<byte> packed, Memory<byte> scales, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(factor);
        CheckGlobalScale(globalScale);
        GroupShape.Check(type, 1, factor.Columns, Columns);
        return type switch
        {
            ElementType.BF16 => GptqEncoding.Encode(new Codes<BFloat16Weights>(globalScale), weights, factor, options, packed, scales, default, compute),
            ElementType.F16 => GptqEncoding.Encode(new Codes<HalfWeights>(globalScale), weights, factor, options, packed, scales, default, compute),
            _ => GptqEncoding.Encode(new Codes<SingleWeights>(globalScale), weights, factor, options, packed, scales, default, compute),
        };
    }

    /// <summary>Decodes rows: BF16(code * (scale / global)), quotient and product formed in binary32. The library gives BF16 whatever the weight was.</summary>
    /// <param name="packed">rows × columns / 2 bytes.</param>
    /// <param name="scales">rows × columns / 16 e4m3fn scales.</param>
    /// <param name="globalScale">The global scale.</param>
    /// <param name="weights">Receives rows × columns BF16 values, widened to binary32.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">A span's length does not fit.</exception>
    public static void Decode(ReadOnlySpan<byte> packed, ReadOnlySpan<byte> scales, float globalScale, Span<float> weights, InstructionSet? instructionSet = null)
    {
        GroupShape.Check(ElementType.BF16, 1, weights.Length, Columns);
        GroupShape.CheckDecoding(packed.Length, scales.Length, weights.Length, Columns, 1);
        InstructionSet set = instructionSet ?? Cpu.Default;
        Span<float> values = stackalloc float[NibbleGroups.MostGroups];
        const int Each = NibbleGroups.MostGroups * Columns;
        for (int start = 0; start < weights.Length; start += Each)
        {
            int count = Math.Min(Each, weights.Length - start), groups = count / Columns;
            ReadScales(scales.Slice(start / Columns, groups), globalScale, values[..groups], set);
            NibbleGroups.Decode(NibbleGroups.E2M1, ElementType.BF16, packed.Slice(start / 2, count / 2), values[..groups], [], Columns, weights.Slice(start, count), set);
        }
    }

    /// <summary>What codes are multiplied with: scale / global.</summary>
    internal static void ReadScales(ReadOnlySpan<byte> scales, float globalScale, Span<float> values, InstructionSet set)
    {
        ElementConversion.ToSingle(ElementType.F8E4M3, scales, values, set);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] /= globalScale;
        }
    }

    /// <summary>What a code stands for.</summary>
    /// <param name="code">0 to 15.</param>
    public static float ValueOf(int code) => NibbleGroups.E2M1[code];

    /// <summary>The largest |w - code * scale| that either encoder can leave for a weight, given the scale: half the spacing of e2m1 there, plus the clamp at 6.</summary>
    /// <param name="weight">w.</param>
    /// <param name="scale">The group's scale over the global scale.</param>
    public static float ErrorBound(float weight, float scale)
    {
        float quotient = Math.Abs(weight / scale);
        float half = quotient <= 2 ? 0.25f : quotient <= 4 ? 0.5f : 1;
        return (half + Math.Max(0, quotient - LargestCode)) * scale * (1 + 1e-6f);
    }

    private static float GlobalScale<TRounding>(float largest)
        where TRounding : struct, IWeightRounding
    {
        float reciprocal = TRounding.Round(1 / Math.Max(largest, TRounding.SmallestNormal)), scale = TRounding.Round(reciprocal * LargestProduct);
        return float.IsFinite(scale) ? scale : 1;
    }

    private static void CheckGlobalScale(float globalScale)
    {
        if (!(globalScale > 0) || !float.IsFinite(globalScale))
        {
            throw new ArgumentException($"{globalScale} is no global scale; it is positive and finite.", nameof(globalScale));
        }
    }
}

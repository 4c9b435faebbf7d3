using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// 4-bit integers in groups as compressed-tensors' <c>pack-quantized</c> format stores them, symmetric: a code of -8 to 7 for each weight and a scale in the weight's own type T (BF16, F16 or
/// F32) for each group of consecutive columns; value = code * scale.
/// </summary>
/// <remarks>
/// <para>The library's encoder, with T(x) = x computed in binary32 and rounded to T, nearest even:</para>
/// <list type="number">
/// <item>scale = T(max|w| / 7.5) over the group; a scale of zero becomes the machine epsilon of T;</item>
/// <item>y = T(w / scale), clamped to [-8, 7], then rounded to an integer, ties to even;</item>
/// <item>y + 8 is stored in 4 bits: eight consecutive columns in a 32-bit word, the first in its lowest bits.</item>
/// </list>
/// <para>
/// The best encoder may choose negative scales, so that the weight of largest magnitude can be the code -8 whatever its sign; clients multiply, so they need not know.
/// </para>
/// <para>Source: compressed-tensors 0.17.1; the golden files of the tests hold its output.</para>
/// </remarks>
public static partial class Int4Group
{
    /// <summary>The lowest code.</summary>
    public const int Lowest = -8;

    /// <summary>The highest code.</summary>
    public const int Highest = 7;

    /// <summary>True for group sizes that can be encoded: multiples of 16 up to 256.</summary>
    public static bool IsGroupSize(int groupSize) => groupSize is > 0 and <= GroupEncoding.MostColumns && groupSize % LaneMath.Width == 0;

    /// <summary>Encodes rows of a matrix.</summary>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">T: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns elements of T, row-major.</param>
    /// <param name="groupSize">Columns that share a scale; see <see cref="IsGroupSize"/>. A divisor of the columns.</param>
    /// <param name="importance">How much each column counts for the best encoder; the library's takes no notice. Its length is the number of columns.</param>
    /// <param name="packed">Receives rows × columns / 2 bytes.</param>
    /// <param name="scales">Receives rows × columns / group size scales of T.</param>
    /// <param name="errors">Receives the loss of each row, every column counting the same.</param>
    /// <param name="libraryErrors">With <see cref="WeightEncoder.Best"/>: receives what the library's encoder would have lost, for each row. Otherwise empty.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>. The bytes are the same with all of them.</param>
    /// <exception cref="ArgumentException">A span's length does not fit, the group size cannot be encoded or does not divide the columns, or T is no weight type.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static void Encode(
        WeightEncoder encoder,
        ElementType type,
        ReadOnlySpan<byte> weights,
        int groupSize,
        ColumnWeights importance,
        Span<byte> packed,
        Span<byte> scales,
        Span<QuantizationError> errors,
        Span<QuantizationError> libraryErrors,
        InstructionSet? instructionSet = null)
    {
        ArgumentNullException.ThrowIfNull(importance);
        GroupShape.Check(type, errors.Length, importance.Columns, groupSize);
        GroupShape.CheckEncoding(encoder, type.Bytes(), errors.Length, importance.Columns, groupSize, type.Bytes(), weights.Length, packed.Length, scales.Length, libraryErrors.Length);
        InstructionSet set = instructionSet ?? Cpu.Default;
        switch (type)
        {
            case ElementType.BF16:
                GroupEncoding.Encode(new Codes<BFloat16Weights>(type, groupSize), encoder, type, weights, importance, packed, scales, [], errors, libraryErrors, set);
                break;
            case ElementType.F16:
                GroupEncoding.Encode(new Codes<HalfWeights>(type, groupSize), encoder, type, weights, importance, packed, scales, [], errors, libraryErrors, set);
                break;
            default:
                GroupEncoding.Encode(new Codes<SingleWeights>(type, groupSize), encoder, type, weights, importance, packed, scales, [], errors, libraryErrors, set);
                break;
        }
    }

    /// <summary>Encodes rows of a matrix with regard to the inputs that they meet: GPTQ; see <see cref="MomentFactor"/>.</summary>
    /// <param name="type">T, the type of the scales: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="groupSize">Columns that share a scale; see <see cref="IsGroupSize"/>. A divisor of the columns.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="options">How long to go on.</param>
    /// <param name="packed">Receives rows × columns / 2 bytes.</param>
    /// <param name="scales">Receives rows × columns / group size scales of T.</param>
    /// <param name="compute">Threads and kernels. The bytes do not depend on threads; on kernels they may.</param>
    /// <returns>What it costs the outputs.</returns>
    /// <exception cref="ArgumentException">A length does not fit, the group size cannot be encoded or does not divide the columns, or T is no weight type.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, int groupSize, MomentFactor factor, GptqOptions options, Memory<byte> packed, Memory<byte> scales, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(factor);
        GroupShape.Check(type, 1, factor.Columns, groupSize);
        return type switch
        {
            ElementType.BF16 => GptqEncoding.Encode(new Codes<BFloat16Weights>(type, groupSize), weights, factor, options, packed, scales, default, compute),
            ElementType.F16 => GptqEncoding.Encode(new Codes<HalfWeights>(type, groupSize), weights, factor, options, packed, scales, default, compute),
            _ => GptqEncoding.Encode(new Codes<SingleWeights>(type, groupSize), weights, factor, options, packed, scales, default, compute),
        };
    }

    /// <summary>Decodes rows: T(code * scale), where the product is formed in binary32 and rounded to the scale's type T.</summary>
    /// <param name="type">T, the type of the scales and of the result: BF16, F16 or F32.</param>
    /// <param name="packed">rows × columns / 2 bytes.</param>
    /// <param name="scales">rows × columns / group size scales of T.</param>
    /// <param name="groupSize">Columns that share a scale; a multiple of 16.</param>
    /// <param name="weights">Receives rows × columns values of T, widened to binary32.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">A span's length does not fit, or T is no weight type.</exception>
    public static void Decode(
        ElementType type, ReadOnlySpan<byte> packed, ReadOnlySpan<byte> scales, int groupSize, Span<float> weights, InstructionSet? instructionSet = null)
    {
        GroupShape.Check(type, 1, weights.Length, groupSize);
        GroupShape.CheckDecoding(packed.Length, scales.Length, weights.Length, groupSize, type.Bytes());
        InstructionSet set = instructionSet ?? Cpu.Default;
        Span<float> values = stackalloc float[NibbleGroups.MostGroups];
        int each = NibbleGroups.MostGroups * groupSize;
        for (int start = 0; start < weights.Length; start += each)
        {
            int count = Math.Min(each, weights.Length - start), groups = count / groupSize;
            ElementConversion.ToSingle(type, scales.Slice(start / groupSize * type.Bytes(), groups * type.Bytes()), values[..groups], set);
            NibbleGroups.Decode(NibbleGroups.Int4, type, packed.Slice(start / 2, count / 2), values[..groups], [], groupSize, weights.Slice(start, count), set);
        }
    }

    /// <summary>The largest |w - code * scale| that either encoder can leave for a weight, given the scale that was stored: half a step plus the rounding of the quotient to T, plus the clamp.</summary>
    /// <param name="type">T.</param>
    /// <param name="weight">w.</param>
    /// <param name="scale">The group's scale.</param>
    public static float ErrorBound(ElementType type, float weight, float scale)
    {
        float quotient = weight / scale, within = Math.Clamp(quotient, Lowest, Highest);
        return (0.5f + (EpsilonOf(type) * Math.Abs(within)) + Math.Abs(quotient - within)) * Math.Abs(scale) * (1 + 1e-6f);
    }

    /// <summary>Machine epsilon of T.</summary>
    internal static float EpsilonOf(ElementType type) =>
        type == ElementType.BF16 ? BFloat16Weights.Epsilon : type == ElementType.F16 ? HalfWeights.Epsilon : SingleWeights.Epsilon;
}

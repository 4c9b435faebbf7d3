using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// 4-bit integers in groups as compressed-tensors' <c>pack-quantized</c> format stores them, asymmetric: a code of -8 to 7 for each weight, and for each group of consecutive columns a scale in the weight's own type T
/// (BF16, F16 or F32) and a zero point of -8 to 7; value = (code - zero point) * scale.
/// </summary>
/// <remarks>
/// <para>The library's encoder, with T(x) = x computed in binary32 and rounded to T, nearest even:</para>
/// <list type="number">
/// <item>low = min(0, w) and high = max(0, w) over the group; scale = T(T(high - low) / 15);</item>
/// <item>zero point = T(-8 - T(low / scale)), clamped to [-8, 7], then rounded to an integer, ties to even;</item>
/// <item>where the scale is zero it becomes the machine epsilon of T; the zero point then is 7 where a weight is negative, otherwise 0;</item>
/// <item>y = T(T(w / scale) + zero point), clamped to [-8, 7], then rounded to an integer, ties to even;</item>
/// <item>y + 8 is stored as for <see cref="Int4Group"/>, the zero points as <see cref="ZeroPoints"/> says.</item>
/// </list>
/// <para>Where T(high - low) is infinite, what the library writes decodes to no numbers; the scale is T(high / 15 - low / 15) then.</para>
/// <para>Source: compressed-tensors 0.17.1; the golden files of the tests hold its output.</para>
/// </remarks>
public static partial class Int4ZeroPointGroup
{
    // What PyTorch's conversion of NaN to int8 gives.
    private const float ZeroOfNothing = 0;

    /// <summary>Encodes rows of a matrix.</summary>
    /// <param name="encoder">How scales, zero points and codes are chosen.</param>
    /// <param name="type">T: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns elements of T, row-major.</param>
    /// <param name="groupSize">Columns that share a scale; see <see cref="Int4Group.IsGroupSize"/>. A divisor of the columns.</param>
    /// <param name="importance">How much each column counts for the best encoder; the library's takes no notice. Its length is the number of columns.</param>
    /// <param name="packed">Receives rows × columns / 2 bytes.</param>
    /// <param name="scales">Receives rows × columns / group size scales of T.</param>
    /// <param name="zeroPoints">Receives <see cref="ZeroPoints.BytesOf"/> bytes.</param>
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
        Span<byte> zeroPoints,
        Span<QuantizationError> errors,
        Span<QuantizationError> libraryErrors,
        InstructionSet? instructionSet = null)
    {
        ArgumentNullException.ThrowIfNull(importance);
        GroupShape.Check(type, errors.Length, importance.Columns, groupSize);
        GroupShape.CheckEncoding(encoder, type.Bytes(), errors.Length, importance.Columns, groupSize, type.Bytes(), weights.Length, packed.Length, scales.Length, libraryErrors.Length);
        CheckZeroPoints(zeroPoints.Length, errors.Length, importance.Columns / groupSize);
        InstructionSet set = instructionSet ?? Cpu.Default;
        switch (type)
        {
            case ElementType.BF16:
                GroupEncoding.Encode(new Codes<BFloat16Weights>(type, groupSize), encoder, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
            case ElementType.F16:
                GroupEncoding.Encode(new Codes<HalfWeights>(type, groupSize), encoder, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
            default:
                GroupEncoding.Encode(new Codes<SingleWeights>(type, groupSize), encoder, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
        }
    }

    /// <summary>Encodes rows of a matrix with regard to the inputs that they meet: GPTQ; see <see cref="MomentFactor"/>.</summary>
    /// <param name="type">T, the type of the scales: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="groupSize">Columns that share a scale; see <see cref="Int4Group.IsGroupSize"/>. A divisor of the columns.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="options">How long to go on.</param>
    /// <param name="packed">Receives rows × columns / 2 bytes.</param>
    /// <param name="scales">Receives rows × columns / group size scales of T.</param>
    /// <param name="zeroPoints">Receives <see cref="ZeroPoints.BytesOf"/> bytes.</param>
    /// <param name="compute">Threads and kernels. The bytes do not depend on threads; on kernels they may.</param>
    /// <returns>What it costs the outputs.</returns>
    /// <exception cref="ArgumentException">A length does not fit, the group size cannot be encoded or does not divide the columns, or T is no weight type.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, int groupSize, MomentFactor factor, GptqOptions options, Memory<byte> packed, Memory<byte> scales, Memory<byte> zeroPoints, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(factor);
        GroupShape.Check(type, 1, factor.Columns, groupSize);
        return type switch
        {
            ElementType.BF16 => GptqEncoding.Encode(new Codes<BFloat16Weights>(type, groupSize), weights, factor, options, packed, scales, zeroPoints, compute),
            ElementType.F16 => GptqEncoding.Encode(new Codes<HalfWeights>(type, groupSize), weights, factor, options, packed, scales, zeroPoints, compute),
            _ => GptqEncoding.Encode(new Codes<SingleWeights>(type, groupSize), weights, factor, options, packed, scales, zeroPoints, compute),
        };
    }

    /// <summary>Decodes rows: T((code - zero point) * scale), where the product is formed in binary32 and rounded to the scale's type T.</summary>
    /// <param name="type">T, the type of the scales and of the result: BF16, F16 or F32.</param>
    /// <param name="packed">rows × columns / 2 bytes.</param>
    /// <param name="scales">rows × columns / group size scales of T.</param>
    /// <param name="zeroPoints"><see cref="ZeroPoints.BytesOf"/> bytes, counted from the row that is first in its word.</param>
    /// <param name="firstRow">The first row's place in its word, 0 to 7.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="groupSize">Columns that share a scale; a multiple of 16 and a divisor of the columns.</param>
    /// <param name="weights">Receives rows × columns values of T, widened to binary32.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">A span's length does not fit, or T is no weight type.</exception>
    public static void Decode(
        ElementType type, ReadOnlySpan<byte> packed, ReadOnlySpan<byte> scales, ReadOnlySpan<byte> zeroPoints, int firstRow, int columns, int groupSize, Span<float> weights,
        InstructionSet? instructionSet = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(firstRow, ZeroPoints.RowsInWord);
        int rows = weights.Length / columns, groups = columns / Math.Max(1, groupSize);
        GroupShape.Check(type, rows, columns, groupSize);
        GroupShape.CheckDecoding(packed.Length, scales.Length, weights.Length, groupSize, type.Bytes());
        CheckZeroPoints(zeroPoints.Length, firstRow + rows, groups);
        InstructionSet set = instructionSet ?? Cpu.Default;
        Span<float> values = stackalloc float[NibbleGroups.MostGroups], zeros = stackalloc float[NibbleGroups.MostGroups];
        for (int row = 0; row < rows; row++)
        {
            for (int first = 0; first < groups; first += NibbleGroups.MostGroups)
            {
                int count = Math.Min(NibbleGroups.MostGroups, groups - first), group = (row * groups) + first, place = group * groupSize;
                ElementConversion.ToSingle(type, scales.Slice(group * type.Bytes(), count * type.Bytes()), values[..count], set);
                ZeroPoints.Read(zeroPoints, groups, firstRow + row, first, zeros[..count]);
                NibbleGroups.Decode(NibbleGroups.Int4, type, packed.Slice(place / 2, count * groupSize / 2), values[..count], zeros[..count], groupSize, weights.Slice(place, count * groupSize), set);
            }
        }
    }

    /// <summary>The largest |w - (code - zero point) * scale| that either encoder can leave for a weight: half a step plus the roundings of quotient and sum to T, plus the clamp.</summary>
    /// <param name="type">T.</param>
    /// <param name="weight">w.</param>
    /// <param name="scale">The group's scale.</param>
    /// <param name="zeroPoint">Its zero point.</param>
    public static float ErrorBound(ElementType type, float weight, float scale, int zeroPoint)
    {
        float quotient = weight / scale, within = Math.Clamp(quotient, Int4Group.Lowest - zeroPoint, Int4Group.Highest - zeroPoint);
        return (0.5f + (Int4Group.EpsilonOf(type) * (Math.Abs(within) + Math.Abs(within + zeroPoint))) + Math.Abs(quotient - within)) * Math.Abs(scale) * (1 + 1e-6f);
    }

    private static void CheckZeroPoints(int zeroPoints, int rows, int groups)
    {
        if (zeroPoints != ZeroPoints.BytesOf(rows, groups))
        {
            throw new ArgumentException($"{zeroPoints} bytes do not fit {rows} rows of {groups} groups.", nameof(zeroPoints));
        }
    }
}

using System.Buffers;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Formats;

/// <summary>The scales that hold for a whole tensor; 1 where a format has none.</summary>
/// <param name="Weight">Of the weights, a divisor.</param>
/// <param name="Input">Of the inputs, a divisor.</param>
public readonly record struct GlobalScales(float Weight, float Input);

/// <summary>
/// A storage format of compressed-tensors with the numbers of a scheme: which tensors are written for a weight, and how rows of it are encoded. The first output holds codes, the second scales, each row by row;
/// what follows is small and known before the weight is read again.
/// </summary>
public abstract class StorageFormat
{
    /// <summary>compressed-tensors' name, for example <c>pack-quantized</c>.</summary>
    public abstract string Name { get; }

    /// <summary>What <c>--encoder</c> is where nothing is said.</summary>
    public abstract WeightEncoder DefaultEncoder { get; }

    /// <summary>Weights that share a scale.</summary>
    public abstract BlockShape Block { get; }

    /// <summary>True where one number for the whole weight, and for those that clients fuse with it, must be known before the first row is encoded.</summary>
    public virtual bool HasGlobalScale => false;

    /// <summary>True where the same holds for the inputs, so that calibration must have seen them.</summary>
    public virtual bool HasInputGlobalScale => false;

    /// <summary>The format of a scheme.</summary>
    /// <exception cref="RecipeException">There is none.</exception>
    public static StorageFormat Of(RecipeGroup group)
    {
        ArgumentNullException.ThrowIfNull(group);
        return group.Weights switch
        {
            { NumBits: 8, Type: "float", Strategy: "block", BlockStructure: [int rows, int columns] } => new Fp8BlockFormat(new BlockShape(rows, columns)),
            { NumBits: 4, Type: "int", Strategy: "group", GroupSize: int size } => new Int4GroupFormat(size),
            { NumBits: 4, Type: "float", Strategy: "tensor_group", GroupSize: NvFp4Group.Columns } => new NvFp4Format(group.InputActivations is not null),
            _ => throw new RecipeException($"no storage format is known for {group.Weights.NumBits} bit {group.Weights.Type} weights with strategy {group.Weights.Strategy}."),
        };
    }

    /// <summary>Why a weight cannot be stored so, or null.</summary>
    public virtual string? WhyNot(TensorInfo weight) => null;

    /// <summary>The tensors written for a weight: codes, scales, then what is small.</summary>
    public abstract IReadOnlyList<TensorInfo> Outputs(TensorInfo weight);

    /// <summary>The content of the outputs after the second, one behind the other.</summary>
    public virtual byte[] Constants(TensorInfo weight, GlobalScales scales) => [];

    /// <summary>Encodes whole block rows.</summary>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">Of the weights.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="importance">How much each column counts, where the format's best encoder heeds it.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="codes">Receives the rows of the first output.</param>
    /// <param name="scales">Receives the rows of the second.</param>
    /// <param name="errors">Receives the loss of each block row.</param>
    /// <param name="libraryErrors">With <see cref="WeightEncoder.Best"/>: receives what the library would have lost.</param>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public abstract void Encode(
        WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, int rows, ColumnWeights importance, float globalScale,
        Span<byte> codes, Span<byte> scales, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors);

    /// <summary>True where <see cref="EncodeGptq"/> is there.</summary>
    public virtual bool HasGptq => false;

    /// <summary>Encodes a whole weight with regard to its inputs; see <see cref="MomentFactor"/>.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="options">How long to go on.</param>
    /// <param name="codes">Receives the first output.</param>
    /// <param name="scales">Receives the second.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <returns>What it costs the outputs.</returns>
    /// <exception cref="NotSupportedException">The format has no GPTQ.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public virtual GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, Memory<byte> codes, Memory<byte> scales, ComputeOptions compute) =>
        throw new NotSupportedException($"{Name} has no GPTQ.");

    /// <summary>The weight as models use it.</summary>
    /// <param name="weight">The weight that was encoded.</param>
    /// <param name="codes">The first output.</param>
    /// <param name="scales">The second.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    public abstract WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, float globalScale);

    /// <summary>Decodes whole block rows as clients do.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="codes">Rows of the first output.</param>
    /// <param name="scales">The same rows of the second.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="weights">Receives rows × columns values.</param>
    public abstract void Decode(ElementType type, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, int rows, int columns, float globalScale, Span<float> weights);

    /// <summary>What whole block rows lost that are encoded already.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="original">rows × columns of the original.</param>
    /// <param name="codes">The same rows of the first output.</param>
    /// <param name="scales">And of the second.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    public QuantizationError Measure(ElementType type, ReadOnlySpan<byte> original, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, int rows, int columns, float globalScale)
    {
        int each = Math.Min(rows, Block.Rows), rowBytes = columns * type.Bytes(), codeBytes = codes.Length / rows, scaleBytes = scales.Length / Block.GridOf(rows, columns).Rows;
        float[] buffer = ArrayPool<float>.Shared.Rent(2 * each * columns);
        QuantizationError error = default;
        for (int first = 0; first < rows; first += each)
        {
            int count = Math.Min(each, rows - first);
            Span<float> weights = buffer.AsSpan(0, count * columns), decoded = buffer.AsSpan(each * columns, count * columns);
            ElementConversion.ToSingle(type, original.Slice(first * rowBytes, count * rowBytes), weights);
            Decode(type, codes.Slice(first * codeBytes, count * codeBytes), scales.Slice(first / Block.Rows * scaleBytes, scaleBytes), count, columns, globalScale, decoded);
            error += QuantizationError.Between(weights, decoded);
        }

        ArrayPool<float>.Shared.Return(buffer);
        return error;
    }

    /// <summary>The first stored scale that no encoder writes, or the first weight that is farther from the original than the format's rounding explains; null where all is well.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="original">Whole block rows of the original.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="codes">The same rows of the first output.</param>
    /// <param name="scales">And of the second.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="firstRow">The first row's number, for messages.</param>
    public abstract string? WhyWrong(
        ElementType type, ReadOnlySpan<byte> original, int columns, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float globalScale, int firstRow);

    /// <summary>Name and sizes, for example <c>float-quantized 128x128</c>.</summary>
    public override string ToString() => $"{Name} {Block}";

    /// <summary>Compares decoded weights with the originals.</summary>
    /// <param name="type">Of the originals.</param>
    /// <param name="original">Rows of them.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="firstRow">The first row's number.</param>
    /// <param name="decode">The value that (row, column) decodes to, and the most by which it may differ from a given original.</param>
    private protected static string? FirstBeyondBound(ElementType type, ReadOnlySpan<byte> original, int columns, int firstRow, Func<int, int, float, (float Value, float Bound)> decode)
    {
        float[] weights = new float[columns];
        int rowBytes = columns * type.Bytes();
        for (int row = 0; row < original.Length / rowBytes; row++)
        {
            ElementConversion.ToSingle(type, original.Slice(row * rowBytes, rowBytes), weights);
            for (int column = 0; column < columns; column++)
            {
                (float value, float bound) = decode(row, column, weights[column]);
                if (!(MathF.Abs(weights[column] - value) <= bound))
                {
                    return $"row {firstRow + row}, column {column} decodes to {value}, the base model has {weights[column]}; the format's bound there is {bound}";
                }
            }
        }

        return null;
    }
}

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
/// A storage format of compressed-tensors with the numbers of a scheme: which tensors are written for a weight, and how rows of it are encoded. The first output holds codes, the second scales, and where the format has
/// them the third zero points, each row by row; what follows is small and known before the weight is read again.
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

    /// <summary>True where the third output holds zero points.</summary>
    public virtual bool HasZeroPoints => false;

    /// <summary>Outputs that are stored row by row; what follows is constant.</summary>
    public int RowOutputs => HasZeroPoints ? 3 : 2;

    /// <summary>Rows that are encoded together, so that every output is whole rows: weights are cut at multiples of it.</summary>
    public int RowsTogether => HasZeroPoints ? ZeroPoints.RowsInWord : Block.Rows;

    /// <summary>The format of a scheme.</summary>
    /// <exception cref="RecipeException">There is none.</exception>
    public static StorageFormat Of(RecipeGroup group)
    {
        ArgumentNullException.ThrowIfNull(group);
        return group.Weights switch
        {
            { NumBits: 8, Type: "float", Strategy: "block", BlockStructure: [int rows, int columns] } => new Fp8BlockFormat(new BlockShape(rows, columns)),
            { NumBits: 4, Type: "int", Strategy: "group", GroupSize: int size, Symmetric: bool symmetric } => new Int4GroupFormat(size, hasZeroPoints: !symmetric),
            { NumBits: 4, Type: "float", Strategy: "tensor_group", GroupSize: NvFp4Group.Columns } => new NvFp4Format(group.InputActivations is not null),
            _ => throw new RecipeException($"no storage format is known for {group.Weights.NumBits} bit {group.Weights.Type} weights with strategy {group.Weights.Strategy}."),
        };
    }

    /// <summary>Why a weight cannot be stored so, or null.</summary>
    public virtual string? WhyNot(TensorInfo weight) => null;

    /// <summary>The tensors written for a weight: codes, scales, zero points where there are some, then what is small.</summary>
    public abstract IReadOnlyList<TensorInfo> Outputs(TensorInfo weight);

    /// <summary>Rows of an output of <see cref="RowOutputs"/> for some rows of a weight.</summary>
    /// <param name="output">0 for codes, 1 for scales, 2 for zero points.</param>
    /// <param name="rows">Rows of the weight, from a multiple of <see cref="RowsTogether"/> on.</param>
    public int RowsOf(int output, int rows)
    {
        int together = output switch { 0 => 1, 1 => Block.Rows, _ => ZeroPoints.RowsInWord };
        return (rows + together - 1) / together;
    }

    /// <summary>Memory for some rows of a weight, an array for each output of <see cref="RowOutputs"/>.</summary>
    /// <param name="outputs">See <see cref="Outputs"/>.</param>
    /// <param name="rows">The rows.</param>
    public byte[][] Allocate(IReadOnlyList<TensorInfo> outputs, int rows)
    {
        ArgumentNullException.ThrowIfNull(outputs);
        return [.. Enumerable.Range(0, RowOutputs).Select(i => new byte[outputs[i].Bytes / outputs[i].Shape[0] * RowsOf(i, rows)])];
    }

    /// <summary>Some of encoded rows.</summary>
    /// <param name="encoded">All of them.</param>
    /// <param name="rows">How many these are.</param>
    /// <param name="first">The first one: a multiple of <see cref="RowsTogether"/>.</param>
    /// <param name="count">How many.</param>
    public EncodedRows Slice(EncodedRows encoded, int rows, int first, int count)
    {
        return new EncodedRows(Part(0, encoded.Codes), Part(1, encoded.Scales), HasZeroPoints ? Part(2, encoded.ZeroPoints) : default);

        Memory<byte> Part(int output, Memory<byte> whole)
        {
            int rowBytes = whole.Length / RowsOf(output, rows);
            return whole.Slice(RowsOf(output, first) * rowBytes, RowsOf(output, count) * rowBytes);
        }
    }

    /// <summary>The content of the outputs after <see cref="RowOutputs"/>, one behind the other.</summary>
    public virtual byte[] Constants(TensorInfo weight, GlobalScales scales) => [];

    /// <summary>Encodes rows, from a multiple of <see cref="RowsTogether"/> on.</summary>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">Of the weights.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="importance">How much each column counts, where the format's best encoder heeds it.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="encoded">Receives the rows of the outputs.</param>
    /// <param name="errors">Receives the loss of each block row.</param>
    /// <param name="libraryErrors">With <see cref="WeightEncoder.Best"/>: receives what the library would have lost.</param>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public abstract void Encode(
        WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, int rows, ColumnWeights importance, float globalScale,
        EncodedRows encoded, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors);

    /// <summary>True where <see cref="EncodeGptq"/> is there.</summary>
    public virtual bool HasGptq => false;

    /// <summary>Encodes a whole weight with regard to its inputs; see <see cref="MomentFactor"/>.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="options">How long to go on.</param>
    /// <param name="encoded">Receives the outputs.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <returns>What it costs the outputs.</returns>
    /// <exception cref="NotSupportedException">The format has no GPTQ.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public virtual GptqLoss EncodeGptq(
        ElementType type, ReadOnlyMemory<float> weights, float globalScale, MomentFactor factor, GptqOptions options, EncodedRows encoded, ComputeOptions compute) =>
        throw new NotSupportedException($"{Name} has no GPTQ.");

    /// <summary>The weight as models use it.</summary>
    /// <param name="weight">The weight that was encoded.</param>
    /// <param name="codes">The first output.</param>
    /// <param name="scales">The second.</param>
    /// <param name="zeroPoints">The third, where <see cref="HasZeroPoints"/>; otherwise null.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    public abstract WeightMatrix Matrix(TensorInfo weight, TensorBytes codes, TensorBytes scales, TensorBytes? zeroPoints, float globalScale);

    /// <summary>Decodes rows as clients do.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="encoded">Rows of the outputs, from a multiple of <see cref="RowsTogether"/> on.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="weights">Receives rows × columns values.</param>
    public abstract void Decode(ElementType type, EncodedRows encoded, int rows, int columns, float globalScale, Span<float> weights);

    /// <summary>What rows lost that are encoded already.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="original">rows × columns of the original.</param>
    /// <param name="encoded">The same rows of the outputs, from a multiple of <see cref="RowsTogether"/> on.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    public QuantizationError Measure(ElementType type, ReadOnlySpan<byte> original, EncodedRows encoded, int rows, int columns, float globalScale)
    {
        int each = Math.Min(rows, RowsTogether), rowBytes = columns * type.Bytes();
        float[] buffer = ArrayPool<float>.Shared.Rent(2 * each * columns);
        QuantizationError error = default;
        for (int first = 0; first < rows; first += each)
        {
            int count = Math.Min(each, rows - first);
            Span<float> weights = buffer.AsSpan(0, count * columns), decoded = buffer.AsSpan(each * columns, count * columns);
            ElementConversion.ToSingle(type, original.Slice(first * rowBytes, count * rowBytes), weights);
            Decode(type, Slice(encoded, rows, first, count), count, columns, globalScale, decoded);
            error += QuantizationError.Between(weights, decoded);
        }

        ArrayPool<float>.Shared.Return(buffer);
        return error;
    }

    /// <summary>The first stored scale that no encoder writes, or the first weight that is farther from the original than the format's rounding explains; null where all is well.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="original">Rows of the original, from a multiple of <see cref="RowsTogether"/> on; empty to look at scales alone.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="encoded">The same rows of the outputs.</param>
    /// <param name="globalScale">Where <see cref="HasGlobalScale"/>.</param>
    /// <param name="firstRow">The first row's number, for messages.</param>
    public abstract string? WhyWrong(ElementType type, ReadOnlySpan<byte> original, int columns, EncodedRows encoded, float globalScale, int firstRow);

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

using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>
/// One GGML tensor type: rows of blocks, each of <see cref="BlockValues"/> weights in <see cref="BlockBytes"/> bytes. Every encoder
/// looks for the block of least weighted squared error, sum of importance * (weight - decoded weight)^2.
/// </summary>
/// <remarks>
/// Layouts: ggml's block definitions, as the constants of each class state them. Encoding is deterministic: a block's bytes depend on its
/// weights and on the importance vector alone. Decoding rounds as ggml does, to the bit.
/// </remarks>
public abstract class GgmlFormat
{
    private protected GgmlFormat(GgmlType type, int blockValues, int blockBytes)
    {
        (Type, Name, BlockValues, BlockBytes) = (type, type.ToString(), blockValues, blockBytes);
    }

    /// <summary>The type.</summary>
    public GgmlType Type { get; }

    /// <summary>The type's name in GGUF tools, for example <c>Q4_K</c>.</summary>
    public string Name { get; }

    /// <summary>Weights in a block; a row's length is a multiple of it.</summary>
    public int BlockValues { get; }

    /// <summary>Bytes of a block.</summary>
    public int BlockBytes { get; }

    /// <summary>Bits for each weight, scales included.</summary>
    public double BitsPerWeight => 8.0 * BlockBytes / BlockValues;

    /// <summary>Bytes of a row, or of any whole number of blocks.</summary>
    /// <param name="columns">Weights; a multiple of <see cref="BlockValues"/>.</param>
    /// <exception cref="ArgumentException">The number is no multiple of the block.</exception>
    public long RowBytes(long columns)
    {
        if (columns < 0 || columns % BlockValues != 0)
        {
            throw new ArgumentException($"{columns} weights are no whole number of {Name} blocks, which hold {BlockValues} each.", nameof(columns));
        }

        return checked(columns / BlockValues * BlockBytes);
    }

    /// <summary>Decodes whole blocks to binary32, to the bits that ggml gives.</summary>
    /// <param name="blocks">The blocks.</param>
    /// <param name="values">Receives <see cref="BlockValues"/> values for each block.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">The lengths do not fit each other or the block.</exception>
    public void Decode(ReadOnlySpan<byte> blocks, Span<float> values, InstructionSet? instructionSet = null)
    {
        CheckLengths(blocks.Length, values.Length);
        if (DecodeByLanes(blocks, values, instructionSet ?? Cpu.Default))
        {
            return;
        }

        for (; values.Length > 0; blocks = blocks[BlockBytes..], values = values[BlockValues..])
        {
            DecodeBlock(blocks[..BlockBytes], values[..BlockValues]);
        }
    }

    /// <summary>Encodes whole rows.</summary>
    /// <param name="values">rows × <paramref name="columns"/> weights, row-major.</param>
    /// <param name="columns">Columns of a row; a multiple of <see cref="BlockValues"/>.</param>
    /// <param name="importance">As for <see cref="ColumnWeights.Of"/>.</param>
    /// <param name="blocks">Receives rows × <see cref="RowBytes"/> bytes.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>. The bytes are the same with all of them.</param>
    /// <exception cref="ArgumentException">A length does not fit, or an importance is negative, infinite or NaN.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public void Encode(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> importance, Span<byte> blocks, InstructionSet? instructionSet = null) =>
        Encode(values, ColumnWeights.Of(importance, columns), blocks, instructionSet);

    /// <summary>Encodes whole rows.</summary>
    /// <param name="values">rows × columns weights, row-major.</param>
    /// <param name="weights">How much each column counts.</param>
    /// <param name="blocks">Receives rows × <see cref="RowBytes"/> bytes.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>. The bytes are the same with all of them.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public void Encode(ReadOnlySpan<float> values, ColumnWeights weights, Span<byte> blocks, InstructionSet? instructionSet = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        RowBytes(weights.Columns);
        if (weights.Columns == 0 || values.Length % weights.Columns != 0)
        {
            throw new ArgumentException($"{values.Length} weights are no whole number of rows of {weights.Columns} columns.", nameof(values));
        }

        CheckLengths(blocks.Length, values.Length);
        EncodeRows(values, weights.Columns, weights.Values, blocks, instructionSet ?? Cpu.Default);
    }

    /// <summary>True where values have an offset besides their factor.</summary>
    internal virtual bool HasMinima => false;

    /// <summary>
    /// Unpacks whole blocks to integers: value i is scales[i / 16] · codes[i] - minima[i / 16], product and difference rounded to binary32 each. What integer dot products read, and decoding
    /// by vector kernels.
    /// </summary>
    /// <param name="blocks">Blocks of at most 256 values together.</param>
    /// <param name="codes">Receives a signed byte for each value.</param>
    /// <param name="scales">Receives a factor for each sixteen values.</param>
    /// <param name="minima">Receives an offset for each sixteen values where <see cref="HasMinima"/>; left alone otherwise.</param>
    /// <exception cref="NotSupportedException">The type holds single numbers.</exception>
    internal abstract void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima);

    /// <summary>Decodes whole blocks by vector kernels; false where there are none for the instruction set.</summary>
    private protected virtual bool DecodeByLanes(ReadOnlySpan<byte> blocks, Span<float> values, InstructionSet set) => LaneDecoding.Decode(this, blocks, values, set);

    /// <summary>Decodes one block, value by value.</summary>
    private protected abstract void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values);

    /// <summary>Encodes rows, and refuses values that are not finite; the weights, one for each column, are positive and about one on average.</summary>
    private protected abstract void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set);

    private void CheckLengths(int bytes, int values)
    {
        long expected = RowBytes(values);
        if (bytes != expected)
        {
            throw new ArgumentException($"{values} weights take {expected} bytes as {Name}, not {bytes}.", nameof(bytes));
        }
    }
}

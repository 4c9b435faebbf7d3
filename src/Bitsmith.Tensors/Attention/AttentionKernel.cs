using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Attention;

/// <summary>
/// softmax(q · Kᵀ / √d) · V for the query heads that share one key/value head, in binary32, by the online softmax of Milakov and Gimelshein (as in FlashAttention): blocks of positions are
/// widened once and used by all queries. Blocks begin at multiples of <see cref="Block"/> and every sum runs in ascending channels or positions, so a query's result depends on its own
/// visible positions alone: not on the other queries of the call, nor on what lies behind its last visible position, NaN and infinities included.
/// </summary>
public static class AttentionKernel
{
    /// <summary>Positions taken at a time.</summary>
    public const int Block = 64;

    // Floats in a cache line, to whose multiples the parts of the scratch memory are aligned.
    private const int Line = 16;

    /// <summary>Floats of scratch memory that <see cref="Attend"/> needs.</summary>
    /// <param name="rows">Queries: tokens × heads.</param>
    /// <param name="headDim">Channels of a head.</param>
    /// <param name="type">What keys and values are stored as.</param>
    public static int ScratchFloats(int rows, int headDim, ElementType type) => Scratch.Floats(rows, headDim, type) + Line;

    /// <summary>Computes the outputs. Allocates nothing.</summary>
    /// <param name="shape">Numbers and strides of queries and outputs.</param>
    /// <param name="queries">The queries, after norms and rotation.</param>
    /// <param name="type">What keys and values are stored as: F32, BF16, F16 or F8_E4M3.</param>
    /// <param name="keys">Laid out as <see cref="KeyValueLayout"/> says, whole groups.</param>
    /// <param name="values">Laid out as <see cref="KeyValueLayout"/> says.</param>
    /// <param name="outputs">Receives a row for each query.</param>
    /// <param name="scratch">At least <see cref="ScratchFloats"/> values; what they hold does not matter.</param>
    /// <param name="instructionSet">The kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit the shape, or keys and values cannot be stored in this type.</exception>
    public static void Attend(
        in AttentionShape shape, ReadOnlySpan<float> queries, ElementType type, ReadOnlySpan<byte> keys, ReadOnlySpan<byte> values, Span<float> outputs, Span<float> scratch,
        InstructionSet instructionSet)
    {
        Check(shape, queries.Length, type, keys.Length, values.Length, outputs.Length, scratch.Length);
        Stored stored = new(type, keys, values);
        switch (instructionSet)
        {
            case InstructionSet.Avx512:
                Run<LaneAttentionMath<Lanes512>>(shape, queries, stored, outputs, scratch, instructionSet);
                break;
            case InstructionSet.Avx2:
                Run<LaneAttentionMath<Lanes256>>(shape, queries, stored, outputs, scratch, instructionSet);
                break;
            case InstructionSet.Vector128:
                Run<LaneAttentionMath<Lanes128>>(shape, queries, stored, outputs, scratch, instructionSet);
                break;
            default:
                Run<ScalarAttentionMath>(shape, queries, stored, outputs, scratch, instructionSet);
                break;
        }
    }

    private static void Check(in AttentionShape shape, int queries, ElementType type, int keys, int values, int outputs, int scratch)
    {
        KeyValueLayout.CheckType(type);
        if (shape.Tokens <= 0 || shape.Heads <= 0 || shape.HeadDim <= 0 || shape.Visible <= 0 || shape.QueryStride < shape.Heads * shape.HeadDim || shape.OutputStride < shape.Heads * shape.HeadDim)
        {
            throw new ArgumentException($"{shape}: tokens, heads, channels and visible positions must be positive, strides at least heads × channels.", nameof(shape));
        }

        int last = shape.Tokens - 1, row = shape.Heads * shape.HeadDim;
        if (queries < ((long)last * shape.QueryStride) + row || outputs < ((long)last * shape.OutputStride) + row ||
            keys < KeyValueLayout.KeyBytes(type, shape.HeadDim, shape.Positions) || values < KeyValueLayout.ValueBytes(type, shape.HeadDim, shape.Positions) ||
            scratch < ScratchFloats(shape.Rows, shape.HeadDim, type))
        {
            throw new ArgumentException(
                $"{shape} with {type.SafetensorsName()} keys and values does not fit {queries} query values, {keys} and {values} bytes, {outputs} output and {scratch} scratch values.");
        }
    }

    private static void Run<TMath>(
        in AttentionShape shape, ReadOnlySpan<float> queries, Stored stored, Span<float> outputs, Span<float> memory, InstructionSet instructionSet)
        where TMath : struct, IAttentionMath
    {
        int headDim = shape.HeadDim, rows = shape.Rows;
        Scratch scratch = new(Aligned(memory), rows, headDim, stored.Type);
        float scale = 1 / MathF.Sqrt(headDim);
        for (int row = 0; row < rows; row++)
        {
            (int token, int head) = Math.DivRem(row, shape.Heads);
            ReadOnlySpan<float> query = queries.Slice((token * shape.QueryStride) + (head * headDim), headDim);
            Span<float> scaled = scratch.Queries.Slice(row * headDim, headDim);
            for (int i = 0; i < scaled.Length; i++)
            {
                scaled[i] = query[i] * scale;
            }
        }

        scratch.Sums.Clear();
        scratch.Outputs.Clear();
        scratch.Maxima.Fill(float.NegativeInfinity);
        for (int start = 0; start < shape.Positions; start += Block)
        {
            RunBlock<TMath>(shape, start, stored, scratch, instructionSet);
        }

        int width = KeyValueLayout.ValueWidth(headDim);
        for (int row = 0; row < rows; row++)
        {
            Span<float> result = scratch.Outputs.Slice(row * width, width);
            TMath.Divide(result, DotProduct.Total(scratch.Sums.Slice(row * LaneMath.Width, LaneMath.Width)));
            (int token, int head) = Math.DivRem(row, shape.Heads);
            result[..headDim].CopyTo(outputs.Slice((token * shape.OutputStride) + (head * headDim), headDim));
        }
    }

    private static void RunBlock<TMath>(in AttentionShape shape, int start, Stored stored, Scratch scratch, InstructionSet instructionSet)
        where TMath : struct, IAttentionMath
    {
        int headDim = shape.HeadDim, width = KeyValueLayout.ValueWidth(headDim), positions = Math.Min(Block, shape.Positions - start);
        int groups = (positions + LaneMath.Width - 1) / LaneMath.Width;

        // Tokens that see nothing of this block are left out.
        int firstRow = (shape.Causal ? Math.Max(0, start + 1 - shape.Visible) : 0) * shape.Heads, rows = shape.Rows - firstRow;
        ReadOnlySpan<float> keys = Wide(stored.Type, stored.Keys, start * headDim, groups * LaneMath.Width * headDim, scratch.Wide, instructionSet);
        Span<float> scores = scratch.Scores[(firstRow * Block)..], results = scratch.Outputs[(firstRow * width)..];

        scores.Clear();
        TMath.Multiply(scratch.Queries[(firstRow * headDim)..], headDim, rows, keys, LaneMath.Width, LaneMath.Width * headDim, groups, headDim, scores, Block);
        for (int i = 0; i < rows; i++)
        {
            int row = firstRow + i;
            TMath.Softmax(
                scores.Slice(i * Block, Block), Seen(shape, row, start), ref scratch.Maxima[row], scratch.Sums.Slice(row * LaneMath.Width, LaneMath.Width), results.Slice(i * width, width));
        }

        // Widened where the keys were, which are done with: both together would not stay in the first-level cache.
        ReadOnlySpan<float> values = Wide(stored.Type, stored.Values, start * width, positions * width, scratch.Wide, instructionSet);

        // Rows that see the whole block go together, those on the diagonal token by token.
        int partial = 0;
        while (partial < rows && Seen(shape, firstRow + partial, start) < positions)
        {
            int seen = Seen(shape, firstRow + partial, start);
            TMath.Multiply(scores[(partial * Block)..], Block, shape.Heads, values, width, LaneMath.Width, width / LaneMath.Width, seen, results[(partial * width)..], width);
            partial += shape.Heads;
        }

        TMath.Multiply(scores[(partial * Block)..], Block, rows - partial, values, width, LaneMath.Width, width / LaneMath.Width, positions, results[(partial * width)..], width);
    }

    /// <summary>Positions of a block that a query sees.</summary>
    private static int Seen(in AttentionShape shape, int row, int start) => Math.Min(Block, shape.VisibleTo(row / shape.Heads) - start);

    private static ReadOnlySpan<float> Wide(ElementType type, ReadOnlySpan<byte> stored, int first, int count, Span<float> room, InstructionSet instructionSet)
    {
        ReadOnlySpan<byte> bytes = stored.Slice(checked(first * type.Bytes()), count * type.Bytes());
        if (type == ElementType.F32)
        {
            return MemoryMarshal.Cast<byte, float>(bytes);
        }

        ElementConversion.ToSingle(type, bytes, room[..count], instructionSet);
        return room[..count];
    }

    /// <summary>
    /// The part of the scratch memory that begins at a cache line. Should the collector move the memory afterwards, only speed is lost.
    /// </summary>
    private static unsafe Span<float> Aligned(Span<float> scratch)
    {
        nuint address = (nuint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(scratch));
        return scratch[(int)((Line - (address / sizeof(float) % Line)) % Line)..];
    }

    private readonly ref struct Stored(ElementType type, ReadOnlySpan<byte> keys, ReadOnlySpan<byte> values)
    {
        public readonly ElementType Type = type;
        public readonly ReadOnlySpan<byte> Keys = keys, Values = values;
    }

    /// <summary>The scratch memory in parts.</summary>
    private readonly ref struct Scratch
    {
        public readonly Span<float> Scores, Outputs, Sums, Queries, Wide, Maxima;

        public Scratch(Span<float> memory, int rows, int headDim, ElementType type)
        {
            int width = KeyValueLayout.ValueWidth(headDim), widened = type == ElementType.F32 ? 0 : Block;
            Scores = Take(ref memory, rows * Block);
            Outputs = Take(ref memory, rows * width);
            Sums = Take(ref memory, rows * LaneMath.Width);
            Wide = Take(ref memory, widened * width);
            Queries = Take(ref memory, rows * headDim);
            Maxima = Take(ref memory, rows);
        }

        public static int Floats(int rows, int headDim, ElementType type)
        {
            int width = KeyValueLayout.ValueWidth(headDim), widened = type == ElementType.F32 ? 0 : Block;
            return checked((rows * (Block + width + LaneMath.Width + headDim + 1)) + (widened * width));
        }

        private static Span<float> Take(scoped ref Span<float> memory, int count)
        {
            Span<float> part = memory[..count];
            memory = memory[count..];
            return part;
        }
    }
}

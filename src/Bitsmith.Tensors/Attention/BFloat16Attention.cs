using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Attention;

/// <summary>
/// softmax(q · Kᵀ / √d) · V for the query heads that share one key/value head, as the eager attention of transformers computes it on bfloat16 tensors: scores rounded, scaled and rounded again, softmax in
/// binary32 and rounded, outputs rounded. Products run in the order of <see cref="PairedProduct"/>. The same bits on every instruction set; a query's result depends on its own visible positions alone.
/// </summary>
public static class BFloat16Attention
{
    // Queries that share a widened block of keys or values.
    private const int Tile = 16;

    /// <summary>Floats of scratch memory that <see cref="Attend"/> needs.</summary>
    /// <param name="positions">Positions that any token sees.</param>
    /// <param name="headDim">Channels of a head.</param>
    public static int ScratchFloats(int positions, int headDim)
    {
        int width = KeyValueLayout.ValueWidth(headDim);
        return checked((Tile * (headDim + KeyValueLayout.RoundUp(positions, KeyValueLayout.Group) + (2 * width))) + (PairedProduct.SumColumns * width));
    }

    /// <summary>Computes the outputs. Allocates nothing.</summary>
    /// <param name="shape">Numbers and strides of queries and outputs.</param>
    /// <param name="queries">The queries, after norms and rotation: bfloat16 values.</param>
    /// <param name="type">What keys and values are stored as: F32, BF16, F16 or F8_E4M3.</param>
    /// <param name="keys">Laid out as <see cref="KeyValueLayout"/> says, whole groups.</param>
    /// <param name="values">Laid out as <see cref="KeyValueLayout"/> says.</param>
    /// <param name="outputs">Receives a row for each query.</param>
    /// <param name="scratch">At least <see cref="ScratchFloats"/> values; what they hold does not matter.</param>
    /// <param name="instructionSet">The kernels.</param>
    public static void Attend(
        in AttentionShape shape, ReadOnlySpan<float> queries, ElementType type, ReadOnlySpan<byte> keys, ReadOnlySpan<byte> values, Span<float> outputs, Span<float> scratch,
        InstructionSet instructionSet)
    {
        KeyValueLayout.CheckType(type);
        int headDim = shape.HeadDim, width = KeyValueLayout.ValueWidth(headDim), stride = KeyValueLayout.RoundUp(shape.Positions, KeyValueLayout.Group);
        Span<float> tile = Take(ref scratch, Tile * headDim), scores = Take(ref scratch, Tile * stride), sums = Take(ref scratch, Tile * width), block = Take(ref scratch, Tile * width);
        Span<float> wide = Take(ref scratch, PairedProduct.SumColumns * width);
        float scale = (float)(1 / Math.Sqrt(headDim));

        // A tile's queries see the same positions.
        for (int first = 0; first < shape.Rows;)
        {
            int rows = Math.Min(Tile, (shape.Causal ? ((first / shape.Heads) + 1) * shape.Heads : shape.Rows) - first), visible = shape.VisibleTo(first / shape.Heads);
            for (int i = 0; i < rows; i++)
            {
                queries.Slice(Place(first + i, shape.QueryStride, shape), headDim).CopyTo(tile[(i * headDim)..]);
            }

            for (int position = 0; position < visible; position += KeyValueLayout.Group)
            {
                Span<float> group = wide[..(KeyValueLayout.Group * headDim)];
                Widen(type, keys, position * headDim, group, instructionSet);
                PairedProduct.Run(tile, headDim, rows, group, KeyValueLayout.Group, 0, 1, headDim, PairedProduct.SumColumns, scores[position..], stride, instructionSet);
            }

            for (int i = 0; i < rows; i++)
            {
                Softmax(scores.Slice(i * stride, visible), scale);
            }

            for (int position = 0; position < visible; position += PairedProduct.SumColumns)
            {
                int count = Math.Min(PairedProduct.SumColumns, visible - position);
                Widen(type, values, position * width, wide[..(count * width)], instructionSet);
                PairedProduct.Run(scores[position..], stride, rows, wide, width, LaneMath.Width, width / LaneMath.Width, count, PairedProduct.SumColumns, block, width, instructionSet);
                Add(sums[..(rows * width)], block, position > 0);
            }

            for (int i = 0; i < rows; i++)
            {
                Span<float> output = outputs.Slice(Place(first + i, shape.OutputStride, shape), headDim);
                for (int channel = 0; channel < headDim; channel++)
                {
                    output[channel] = BFloat16.Round(sums[(i * width) + channel]);
                }
            }

            first += rows;
        }
    }

    private static int Place(int row, int stride, in AttentionShape shape) => (row / shape.Heads * stride) + (row % shape.Heads * shape.HeadDim);

    private static void Softmax(Span<float> scores, float scale)
    {
        float largest = float.NegativeInfinity;
        foreach (ref float score in scores)
        {
            score = BFloat16.Round(BFloat16.Round(score) * scale);
            largest = MathF.Max(largest, score);
        }

        foreach (ref float score in scores)
        {
            score = VectorFunctions.Exponential(score - largest);
        }

        float factor = 1 / RowSums.OfWeights(scores);
        foreach (ref float score in scores)
        {
            score = BFloat16.Round(score * factor);
        }
    }

    private static void Add(Span<float> sums, ReadOnlySpan<float> block, bool adds)
    {
        for (int i = 0; i < sums.Length; i++)
        {
            sums[i] = adds ? sums[i] + block[i] : block[i];
        }
    }

    private static void Widen(ElementType type, ReadOnlySpan<byte> stored, int first, Span<float> target, InstructionSet instructionSet) =>
        ElementConversion.ToSingle(type, stored.Slice(checked(first * type.Bytes()), target.Length * type.Bytes()), target, instructionSet);

    private static Span<float> Take(scoped ref Span<float> memory, int count)
    {
        Span<float> part = memory[..count];
        memory = memory[count..];
        return part;
    }
}

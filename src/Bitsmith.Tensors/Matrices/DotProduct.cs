using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Inner products in binary32. Column c is added to sum c mod 16 of 16, in ascending order; the sums are then added in a fixed tree. The order depends on the length alone, so a
/// product is the same alone and inside any tile. Within an instruction set results are reproducible; between them they may differ in the last bits, because some fuse the
/// multiplication with the addition.
/// </summary>
public static class DotProduct
{
    // Four rows of so many binary32 values, and two of inputs, fit into 32 KB.
    private const int ColumnBlock = 1024;

    /// <summary>Σ left[i] · right[i].</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static float Of(ReadOnlySpan<float> left, ReadOnlySpan<float> right, InstructionSet instructionSet)
    {
        if (left.Length != right.Length)
        {
            throw new ArgumentException($"{left.Length} and {right.Length} values have no inner product.");
        }

        return instructionSet switch
        {
            InstructionSet.Avx512 => Lanes<Lanes512>(left, right),
            InstructionSet.Avx2 => Lanes<Lanes256>(left, right),
            InstructionSet.Vector128 => Lanes<Lanes128>(left, right),
            _ => Scalar(left, right),
        };
    }

    /// <summary>outputs[token, row] = inputs[token] · rows[row] for a panel of rows.</summary>
    /// <param name="inputs">tokens × columns.</param>
    /// <param name="tokens">Number of tokens.</param>
    /// <param name="panel">rows × columns.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns.</param>
    /// <param name="outputs">Receives the products: the row of a token starts at token × <paramref name="stride"/>.</param>
    /// <param name="stride">Distance between tokens in the output.</param>
    /// <param name="instructionSet">The kernels.</param>
    internal static void Panel(
        ReadOnlySpan<float> inputs, int tokens, ReadOnlySpan<float> panel, int rows, int columns, Span<float> outputs, int stride, InstructionSet instructionSet)
    {
        switch (instructionSet)
        {
            case InstructionSet.Avx512:
                Tiles<Lanes512>(inputs, tokens, panel, rows, columns, outputs, stride);
                break;
            case InstructionSet.Avx2:
                Tiles<Lanes256>(inputs, tokens, panel, rows, columns, outputs, stride);
                break;
            case InstructionSet.Vector128:
                Tiles<Lanes128>(inputs, tokens, panel, rows, columns, outputs, stride);
                break;
            default:
                for (int token = 0; token < tokens; token++)
                {
                    for (int row = 0; row < rows; row++)
                    {
                        outputs[(token * stride) + row] = Scalar(inputs.Slice(token * columns, columns), panel.Slice(row * columns, columns));
                    }
                }

                break;
        }
    }

    private static float Scalar(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        Span<float> sums = stackalloc float[LaneMath.Width];
        sums.Clear();
        for (int i = 0; i < left.Length; i++)
        {
            sums[i % LaneMath.Width] += left[i] * right[i];
        }

        return Total(sums);
    }

    private static float Lanes<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes sum = TLanes.Broadcast(0);
        ref float x = ref MemoryMarshal.GetReference(left);
        ref float y = ref MemoryMarshal.GetReference(right);
        int whole = left.Length - (left.Length % LaneMath.Width);
        for (int i = 0; i < whole; i += LaneMath.Width)
        {
            sum = TLanes.MultiplyAddF(TLanes.Load32(in Unsafe.Add(ref x, i)), TLanes.Load32(in Unsafe.Add(ref y, i)), sum);
        }

        return Finish(sum, left[whole..], right[whole..]);
    }

    /// <summary>
    /// Tiles of two tokens by four rows, so that each value loaded is used several times; what is left over one product at a time. Columns are taken in blocks whose weights stay in the
    /// first-level cache while all tokens pass; the sums wait in memory between blocks, which does not change their order.
    /// </summary>
    private static void Tiles<TLanes>(ReadOnlySpan<float> inputs, int tokens, ReadOnlySpan<float> panel, int rows, int columns, Span<float> outputs, int stride)
        where TLanes : struct, ILanes16<TLanes>
    {
        const int TileSums = 4 * LaneMath.Width;
        int tiledRows = rows - (rows % 4), pairs = tokens - (tokens % 2), whole = columns - (columns % LaneMath.Width);
        float[] sums = ArrayPool<float>.Shared.Rent(Math.Max(1, pairs * TileSums));
        for (int row = 0; row < tiledRows; row += 4)
        {
            ReadOnlySpan<float> four = panel.Slice(row * columns, 4 * columns);
            Array.Clear(sums, 0, pairs * TileSums);
            for (int first = 0; first < whole; first += ColumnBlock)
            {
                int count = Math.Min(ColumnBlock, whole - first);
                for (int token = 0; token < pairs; token += 2)
                {
                    Tile2x4<TLanes>(inputs.Slice(token * columns, 2 * columns), four, columns, first, count, sums.AsSpan(token * TileSums, 2 * TileSums));
                }
            }

            for (int token = 0; token < pairs; token++)
            {
                ReadOnlySpan<float> rest = inputs[((token * columns) + whole)..((token + 1) * columns)];
                for (int i = 0; i < 4; i++)
                {
                    Span<float> lanes = sums.AsSpan((token * TileSums) + (i * LaneMath.Width), LaneMath.Width);
                    outputs[(token * stride) + row + i] = Finish(lanes, rest, four.Slice((i * columns) + whole, rest.Length));
                }
            }

            if (pairs < tokens)
            {
                Tile1x4<TLanes>(inputs.Slice(pairs * columns, columns), four, columns, outputs[((pairs * stride) + row)..]);
            }
        }

        ArrayPool<float>.Shared.Return(sums);
        for (int row = tiledRows; row < rows; row++)
        {
            for (int token = 0; token < tokens; token++)
            {
                outputs[(token * stride) + row] = Lanes<TLanes>(inputs.Slice(token * columns, columns), panel.Slice(row * columns, columns));
            }
        }
    }

    private static void Tile2x4<TLanes>(ReadOnlySpan<float> inputs, ReadOnlySpan<float> panel, int columns, int first, int count, Span<float> sums)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float s = ref MemoryMarshal.GetReference(sums);
        TLanes a0 = TLanes.Load32(in s), a1 = TLanes.Load32(in Unsafe.Add(ref s, 16)), a2 = TLanes.Load32(in Unsafe.Add(ref s, 32)), a3 = TLanes.Load32(in Unsafe.Add(ref s, 48));
        TLanes b0 = TLanes.Load32(in Unsafe.Add(ref s, 64)), b1 = TLanes.Load32(in Unsafe.Add(ref s, 80)), b2 = TLanes.Load32(in Unsafe.Add(ref s, 96)), b3 = TLanes.Load32(in Unsafe.Add(ref s, 112));
        ref float x = ref Unsafe.Add(ref MemoryMarshal.GetReference(inputs), first);
        ref float y = ref Unsafe.Add(ref MemoryMarshal.GetReference(panel), first);
        for (int i = 0; i < count; i += LaneMath.Width)
        {
            TLanes one = TLanes.Load32(in Unsafe.Add(ref x, i)), two = TLanes.Load32(in Unsafe.Add(ref x, columns + i));
            TLanes row = TLanes.Load32(in Unsafe.Add(ref y, i));
            a0 = TLanes.MultiplyAddF(one, row, a0);
            b0 = TLanes.MultiplyAddF(two, row, b0);
            row = TLanes.Load32(in Unsafe.Add(ref y, columns + i));
            a1 = TLanes.MultiplyAddF(one, row, a1);
            b1 = TLanes.MultiplyAddF(two, row, b1);
            row = TLanes.Load32(in Unsafe.Add(ref y, (2 * columns) + i));
            a2 = TLanes.MultiplyAddF(one, row, a2);
            b2 = TLanes.MultiplyAddF(two, row, b2);
            row = TLanes.Load32(in Unsafe.Add(ref y, (3 * columns) + i));
            a3 = TLanes.MultiplyAddF(one, row, a3);
            b3 = TLanes.MultiplyAddF(two, row, b3);
        }

        TLanes.Store32(a0, ref s);
        TLanes.Store32(a1, ref Unsafe.Add(ref s, 16));
        TLanes.Store32(a2, ref Unsafe.Add(ref s, 32));
        TLanes.Store32(a3, ref Unsafe.Add(ref s, 48));
        TLanes.Store32(b0, ref Unsafe.Add(ref s, 64));
        TLanes.Store32(b1, ref Unsafe.Add(ref s, 80));
        TLanes.Store32(b2, ref Unsafe.Add(ref s, 96));
        TLanes.Store32(b3, ref Unsafe.Add(ref s, 112));
    }

    private static void Tile1x4<TLanes>(ReadOnlySpan<float> input, ReadOnlySpan<float> panel, int columns, Span<float> outputs)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes a0 = TLanes.Broadcast(0), a1 = a0, a2 = a0, a3 = a0;
        int whole = columns - (columns % LaneMath.Width);
        ref float x = ref MemoryMarshal.GetReference(input);
        ref float y = ref MemoryMarshal.GetReference(panel);
        for (int i = 0; i < whole; i += LaneMath.Width)
        {
            TLanes value = TLanes.Load32(in Unsafe.Add(ref x, i));
            a0 = TLanes.MultiplyAddF(value, TLanes.Load32(in Unsafe.Add(ref y, i)), a0);
            a1 = TLanes.MultiplyAddF(value, TLanes.Load32(in Unsafe.Add(ref y, columns + i)), a1);
            a2 = TLanes.MultiplyAddF(value, TLanes.Load32(in Unsafe.Add(ref y, (2 * columns) + i)), a2);
            a3 = TLanes.MultiplyAddF(value, TLanes.Load32(in Unsafe.Add(ref y, (3 * columns) + i)), a3);
        }

        FinishRow(a0, a1, a2, a3, input, panel, whole, outputs);
    }

    private static void FinishRow<TLanes>(
        TLanes a0, TLanes a1, TLanes a2, TLanes a3, ReadOnlySpan<float> input, ReadOnlySpan<float> panel, int whole, Span<float> outputs)
        where TLanes : struct, ILanes16<TLanes>
    {
        int columns = input.Length;
        ReadOnlySpan<float> rest = input[whole..];
        outputs[0] = Finish(a0, rest, panel[whole..columns]);
        outputs[1] = Finish(a1, rest, panel.Slice(columns + whole, rest.Length));
        outputs[2] = Finish(a2, rest, panel.Slice((2 * columns) + whole, rest.Length));
        outputs[3] = Finish(a3, rest, panel.Slice((3 * columns) + whole, rest.Length));
    }

    private static float Finish<TLanes>(TLanes sum, ReadOnlySpan<float> left, ReadOnlySpan<float> right)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> sums = stackalloc float[LaneMath.Width];
        TLanes.Store32(sum, ref sums[0]);
        return Finish(sums, left, right);
    }

    /// <summary>Adds the columns behind the last whole step to their sums, then the sums to one.</summary>
    private static float Finish(Span<float> sums, ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        for (int i = 0; i < left.Length; i++)
        {
            sums[i] += left[i] * right[i];
        }

        return Total(sums);
    }

    private static float Total(Span<float> sums)
    {
        for (int half = sums.Length / 2; half > 0; half /= 2)
        {
            for (int i = 0; i < half; i++)
            {
                sums[i] += sums[i + half];
            }
        }

        return sums[0];
    }
}

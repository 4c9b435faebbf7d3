using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// A panel of weight rows times tokens, tile by tile. Columns are cut into blocks: the inputs of a tile's tokens stay in the first-level cache while the panel's rows, which stay in the
/// second-level cache, pass by. Partial sums wait in memory between blocks, which does not change their order.
/// </summary>
internal static unsafe class TileProduct
{
    // 6 tokens × 1024 binary32 or 2048 bfloat16 inputs: 24 KB.
    public const int BlockBytes = 4096;

    /// <summary>Rows of a panel: at most 64, and no more than stay in the second-level cache.</summary>
    public static int PanelRows(long rowBytes) => (int)Math.Clamp(PanelBytes / rowBytes / TileKernels.MaxRows * TileKernels.MaxRows, TileKernels.MaxRows, MaxPanelRows);

    private const int PanelBytes = 384 << 10, MaxPanelRows = 64;

    /// <summary>outputs[token, row] = inputs[token] · weights[row] (+ bias[row]).</summary>
    /// <param name="kernels">Kernels, and the weights.</param>
    /// <param name="rows">Rows, at most 64.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="inputs">First input.</param>
    /// <param name="inputStride">Bytes from a token to the next.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="bias">A value for each row, or null.</param>
    /// <param name="outputs">Output of the first row and token.</param>
    /// <param name="outputStride">Values from a token to the next.</param>
    [SkipLocalsInit]
    public static void Run<TKernels>(
        TKernels kernels, int rows, int columns, byte* inputs, nint inputStride, int tokens, float* bias, float* outputs, nint outputStride)
        where TKernels : struct, ITileKernels
    {
        int step = kernels.StepColumns, block = BlockBytes / kernels.InputBytes, rowTile = kernels.Rows, tokenTile = kernels.Tokens;
        float* sums = stackalloc float[MaxPanelRows * TileKernels.MaxTokens * LaneMath.Width];
        TileArguments arguments = new() { InputStride = inputStride };
        for (int token = 0; token < tokens; token += tokenTile)
        {
            int tileTokens = Math.Min(tokenTile, tokens - token), tileSums = tileTokens * LaneMath.Width;
            for (int column = 0; column < columns; column += block)
            {
                int count = Math.Min(block, columns - column);
                arguments.Adds = column > 0 ? 1 : 0;
                arguments.Steps = count / step;
                arguments.TailMask = (nint)((1UL << (count % step)) - 1);
                arguments.Inputs = inputs + (token * inputStride) + ((nint)column * kernels.InputBytes);
                for (int row = 0; row < rows; row += rowTile)
                {
                    kernels.Place(row, column, &arguments);
                    arguments.Sums = sums + (row * tileSums);
                    kernels.Run(Math.Min(rowTile, rows - row), tileTokens, &arguments);
                }
            }

            for (int row = 0; row < rows; row += rowTile)
            {
                Finish(sums + (row * tileSums), Math.Min(rowTile, rows - row), tileTokens, bias is null ? null : bias + row, outputs + (token * outputStride) + row, outputStride);
            }
        }
    }

    /// <summary>The product of binary32 weights and inputs, with the kernels of an instruction set.</summary>
    /// <param name="set">The instruction set.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="rows">Rows, at most 64.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="inputs">First input.</param>
    /// <param name="inputStride">Values from a token to the next.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="bias">A value for each row, or null.</param>
    /// <param name="outputs">Output of the first row and token.</param>
    /// <param name="outputStride">Values from a token to the next.</param>
    public static void RunSingles(
        InstructionSet set, float* weights, int rows, int columns, float* inputs, nint inputStride, int tokens, float* bias, float* outputs, nint outputStride)
    {
        byte* matrix = (byte*)weights, values = (byte*)inputs;
        nint stride = inputStride * sizeof(float);
        switch (set)
        {
            case InstructionSet.Avx512 when TileKernels.IsAvailable:
                Run(new AssembledTiles(TileWeights.Single, matrix, columns), rows, columns, values, stride, tokens, bias, outputs, outputStride);
                break;
            case InstructionSet.Avx512:
                Run(new LaneTiles<Lanes512>(matrix, columns), rows, columns, values, stride, tokens, bias, outputs, outputStride);
                break;
            case InstructionSet.Avx2:
                Run(new LaneTiles<Lanes256>(matrix, columns), rows, columns, values, stride, tokens, bias, outputs, outputStride);
                break;
            case InstructionSet.Vector128:
                Run(new LaneTiles<Lanes128>(matrix, columns), rows, columns, values, stride, tokens, bias, outputs, outputStride);
                break;
            default:
                Run(new ScalarTiles(matrix, columns), rows, columns, values, stride, tokens, bias, outputs, outputStride);
                break;
        }
    }

    // sums: [rows][tokens][16].
    private static void Finish(float* sums, int rows, int tokens, float* bias, float* outputs, nint outputStride)
    {
        if (rows == 4 && Avx.IsSupported)
        {
            Vector128<float> shift = bias is null ? Vector128<float>.Zero : Vector128.Load(bias);
            for (int token = 0; token < tokens; token++, sums += LaneMath.Width)
            {
                Vector128<float> totals = Totals(sums, tokens * LaneMath.Width);
                (bias is null ? totals : totals + shift).Store(outputs + (token * outputStride));
            }

            return;
        }

        for (int token = 0; token < tokens; token++)
        {
            for (int row = 0; row < rows; row++)
            {
                float total = DotProduct.Total(new Span<float>(sums + (((row * tokens) + token) * LaneMath.Width), LaneMath.Width));
                outputs[(token * outputStride) + row] = bias is null ? total : total + bias[row];
            }
        }
    }

    /// <summary>The totals of four rows of sums at once, added in the tree of <see cref="DotProduct.Total"/>. Needs AVX.</summary>
    /// <param name="sums">Sixteen sums of the first row.</param>
    /// <param name="stride">Values from a row to the next.</param>
    internal static Vector128<float> Totals(float* sums, int stride)
    {
        Vector128<float> a = Quarter(sums), b = Quarter(sums + stride), c = Quarter(sums + (2 * stride)), d = Quarter(sums + (3 * stride));
        Vector128<float> ab = Sse.MoveLowToHigh(a, b) + Sse.MoveHighToLow(b, a), cd = Sse.MoveLowToHigh(c, d) + Sse.MoveHighToLow(d, c);
        return Sse.Shuffle(ab, cd, 0b10_00_10_00) + Sse.Shuffle(ab, cd, 0b11_01_11_01);
    }

    private static Vector128<float> Quarter(float* sums)
    {
        Vector256<float> half = Vector256.Load(sums) + Vector256.Load(sums + 8);
        return half.GetLower() + half.GetUpper();
    }
}

using System.Runtime.Intrinsics;
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
    private const int BlockBytes = 4096;

    /// <summary>Rows of a panel: at most 64, and no more than stay in the second-level cache.</summary>
    public static int PanelRows(long rowBytes) => (int)Math.Clamp(PanelBytes / rowBytes / TileKernels.MaxRows * TileKernels.MaxRows, TileKernels.MaxRows, MaxPanelRows);

    private const int PanelBytes = 384 << 10, MaxPanelRows = 64;

    /// <summary>outputs[token, row] = inputs[token] · weights[row] (+ bias[row]).</summary>
    /// <param name="kernels">Kernels.</param>
    /// <param name="weights">First weight; rows follow each other.</param>
    /// <param name="rows">Rows, at most 64.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="inputs">First input.</param>
    /// <param name="inputStride">Bytes from a token to the next.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="bias">A value for each row, or null.</param>
    /// <param name="outputs">Output of the first row and token.</param>
    /// <param name="outputStride">Values from a token to the next.</param>
    public static void Run<TKernels>(
        TKernels kernels, byte* weights, int rows, int columns, byte* inputs, nint inputStride, int tokens, float* bias, float* outputs, nint outputStride)
        where TKernels : struct, ITileKernels
    {
        int step = kernels.StepColumns, block = BlockBytes / kernels.InputBytes, rowTile = kernels.Rows, tokenTile = kernels.Tokens;
        nint weightStride = (nint)columns * kernels.WeightBytes;
        float* sums = stackalloc float[MaxPanelRows * TileKernels.MaxTokens * LaneMath.Width];
        TileArguments arguments = new() { WeightStride = weightStride, InputStride = inputStride };
        for (int token = 0; token < tokens; token += tokenTile)
        {
            int tileTokens = Math.Min(tokenTile, tokens - token), tileSums = tileTokens * LaneMath.Width;
            new Span<float>(sums, rows * tileSums).Clear();
            for (int column = 0; column < columns; column += block)
            {
                int count = Math.Min(block, columns - column);
                arguments.Steps = count / step;
                arguments.TailMask = (nint)((1UL << (count % step)) - 1);
                arguments.Inputs = inputs + (token * inputStride) + ((nint)column * kernels.InputBytes);
                for (int row = 0; row < rows; row += rowTile)
                {
                    arguments.Weights = weights + (row * weightStride) + ((nint)column * kernels.WeightBytes);
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

    // sums: [rows][tokens][16].
    private static void Finish(float* sums, int rows, int tokens, float* bias, float* outputs, nint outputStride)
    {
        for (int token = 0; token < tokens; token++)
        {
            for (int row = 0; row < rows; row++)
            {
                float total = Total(sums + (((row * tokens) + token) * LaneMath.Width));
                outputs[(token * outputStride) + row] = bias is null ? total : total + bias[row];
            }
        }
    }

    private static float Total(float* sums)
    {
        if (!Vector256.IsHardwareAccelerated)
        {
            return DotProduct.Total(new Span<float>(sums, LaneMath.Width));
        }

        // The same tree in registers.
        Vector256<float> eight = Vector256.Load(sums) + Vector256.Load(sums + 8);
        Vector128<float> four = eight.GetLower() + eight.GetUpper();
        Vector128<float> two = four + Vector128.Shuffle(four, Vector128.Create(2, 3, 2, 3));
        return two[0] + two[1];
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices.Packed;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Codes of at most 8 bits with factors. With <see cref="ComputeOptions.BlockInputs"/> the codes meet inputs of 8 bits in integer products; otherwise rows are widened to binary32.
/// </summary>
/// <param name="rows">Out features.</param>
/// <param name="columns">In features.</param>
/// <param name="hasMinima">Whether weights have offsets.</param>
/// <param name="inputBlocks">What inputs are rounded to.</param>
internal abstract unsafe class PackedMatrix(int rows, int columns, bool hasMinima, InputBlocks inputBlocks) : WeightMatrix(rows, columns)
{
    // So few tokens meet their rows while these are still in the first-level cache.
    private const int FewTokens = PackedTiles.MaxTokens;

    private readonly int packedRowBytes = checked(PackedStep.Count(columns) * PackedStep.WeightBytes(hasMinima));

    private protected override string? RoundedInputs(ComputeOptions compute) => compute.BlockInputs ? $"int8 in blocks of {InputRounding.BlockValues(inputBlocks)}" : null;

    private protected override long PanelRowBytes(ComputeOptions compute) => compute.BlockInputs ? packedRowBytes : (long)Columns * sizeof(float);

    /// <summary>Unpacks a row into steps.</summary>
    /// <param name="row">The row.</param>
    /// <param name="target">Receives <see cref="PackedStep.Count"/> steps; aligned to 64.</param>
    private protected abstract void Pack(int row, byte* target);

    /// <summary>Inputs that a scheme has quantized are taken as they are.</summary>
    private static bool RoundsInputs(MatrixInput inputs, ComputeOptions compute) => compute.BlockInputs && !inputs.IsQuantized;

    private protected override void Prepare(MatrixInput inputs, ComputeOptions compute)
    {
        if (RoundsInputs(inputs, compute))
        {
            inputs.Packed(inputBlocks, compute);
        }
    }

    private protected override void MultiplyPanel(int first, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        if (!RoundsInputs(inputs, compute))
        {
            base.MultiplyPanel(first, count, inputs, bias, outputs, compute);
            return;
        }

        byte* packedInputs = inputs.Packed(inputBlocks, compute);
        int each = inputs.Tokens <= FewTokens ? Math.Min(PackedTiles.MaxRows, count) : count;
        fixed (byte* panel = ThreadScratch.Take<byte>(checked(each * packedRowBytes)))
        {
            for (int row = 0; row < count; row += each)
            {
                int rows = Math.Min(each, count - row);
                for (int i = 0; i < rows; i++)
                {
                    Pack(first + row + i, panel + (i * packedRowBytes));
                }

                Multiply(panel, rows, packedInputs, inputs, bias is null ? null : bias + row, outputs + row, compute.InstructionSet);
            }
        }
    }

    [SkipLocalsInit]
    private void Multiply(byte* panel, int rows, byte* packedInputs, MatrixInput inputs, float* bias, float* outputs, InstructionSet set)
    {
        float* sums = stackalloc float[PackedTiles.MaxRows * PackedTiles.MaxTokens * PackedStep.Lanes];
        PackedArguments arguments = new() { Sums = sums, WeightStride = packedRowBytes, InputStride = inputs.PackedStride, Steps = PackedStep.Count(Columns) };
        for (int token = 0; token < inputs.Tokens; token += PackedTiles.MaxTokens)
        {
            int tokens = Math.Min(PackedTiles.MaxTokens, inputs.Tokens - token);
            arguments.Inputs = packedInputs + (token * inputs.PackedStride);
            for (int row = 0; row < rows; row += PackedTiles.MaxRows)
            {
                int tileRows = Math.Min(PackedTiles.MaxRows, rows - row);
                arguments.Weights = panel + (row * packedRowBytes);
                PackedTiles.Run(set, hasMinima, tileRows, tokens, &arguments);
                for (int i = 0; i < tileRows; i++)
                {
                    Finish(sums + (i * tokens * PackedStep.Lanes), tokens, bias is null ? 0 : bias[row + i], outputs + (token * (nint)Rows) + row + i);
                }
            }
        }
    }

    /// <summary>Adds up the sums of a row, for each token of a tile.</summary>
    private void Finish(float* sums, int tokens, float bias, float* outputs)
    {
        if (tokens == 4 && Avx.IsSupported)
        {
            Vector128<float> totals = TileProduct.Totals(sums, PackedStep.Lanes) + Vector128.Create(bias);
            for (int token = 0; token < 4; token++)
            {
                outputs[token * (nint)Rows] = totals[token];
            }

            return;
        }

        for (int token = 0; token < tokens; token++)
        {
            outputs[token * (nint)Rows] = DotProduct.Total(new Span<float>(sums + (token * PackedStep.Lanes), PackedStep.Lanes)) + bias;
        }
    }
}

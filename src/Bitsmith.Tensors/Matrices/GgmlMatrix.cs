using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices.Packed;
using Bitsmith.Tensors.Memory;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// GGML blocks. With <see cref="ComputeOptions.BlockInputs"/> their codes meet inputs of 8 bits in integer products; otherwise rows are widened to binary32.
/// </summary>
internal sealed unsafe class GgmlMatrix : WeightMatrix
{
    // So few tokens meet their rows while these are still in the first-level cache.
    private const int FewTokens = PackedTiles.MaxTokens;

    private readonly GgmlFormat format;
    private readonly TensorBytes blocks;
    private readonly int rowBytes, packedRowBytes;

    public GgmlMatrix(GgmlFormat format, int rows, int columns, TensorBytes blocks)
        : base(rows, columns)
    {
        rowBytes = checked((int)format.RowBytes(columns));
        packedRowBytes = checked(PackedStep.Count(columns) * PackedStep.WeightBytes(format.HasMinima));
        Require(blocks, (long)rows * rowBytes, nameof(blocks));
        (this.format, this.blocks) = (format, blocks);
    }

    public override long Bytes => blocks.Length;

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet) => format.Decode(Span(first, count), target, instructionSet);

    public override void Release() => blocks.Release();

    private protected override string? RoundedInputs(ComputeOptions compute) =>
        compute.BlockInputs ? $"int8 in blocks of {InputRounding.BlockValues(InputRounding.For(format))}" : null;

    private protected override long PanelRowBytes(ComputeOptions compute) => compute.BlockInputs ? packedRowBytes : (long)Columns * sizeof(float);

    private protected override void Prepare(MatrixInput inputs, ComputeOptions compute)
    {
        if (compute.BlockInputs)
        {
            inputs.Packed(InputRounding.For(format), compute);
        }
    }

    private protected override void MultiplyPanel(int first, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        if (!compute.BlockInputs)
        {
            base.MultiplyPanel(first, count, inputs, bias, outputs, compute);
            return;
        }

        byte* packedInputs = inputs.Packed(InputRounding.For(format), compute);
        int each = inputs.Tokens <= FewTokens ? Math.Min(PackedTiles.MaxRows, count) : count;
        fixed (byte* panel = ThreadScratch.Take<byte>(checked(each * packedRowBytes)))
        {
            for (int row = 0; row < count; row += each)
            {
                int rows = Math.Min(each, count - row);
                for (int i = 0; i < rows; i++)
                {
                    Pack(Span(first + row + i, 1), panel + (i * packedRowBytes));
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
                PackedTiles.Run(set, format.HasMinima, tileRows, tokens, &arguments);
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

    /// <summary>Unpacks a row into steps.</summary>
    [SkipLocalsInit]
    private void Pack(ReadOnlySpan<byte> row, byte* target)
    {
        Span<sbyte> codes = stackalloc sbyte[PackedStep.Codes];
        Span<float> scales = stackalloc float[PackedStep.Lanes], minima = stackalloc float[PackedStep.Lanes];
        int stepBytes = PackedStep.Columns / format.BlockValues * format.BlockBytes;
        for (; !row.IsEmpty; row = row[Math.Min(stepBytes, row.Length)..], target += PackedStep.WeightBytes(format.HasMinima))
        {
            int groups = PackedStep.Lanes;
            if (row.Length < stepBytes)
            {
                groups = row.Length / format.BlockBytes * format.BlockValues / Unpacking.Group;
                codes.Clear();
                scales.Clear();
                minima.Clear();
            }

            format.Unpack(row[..Math.Min(stepBytes, row.Length)], codes[..(groups * Unpacking.Group)], scales[..groups], minima[..groups]);
            PackedStep.Interleave(codes, target, 0x80);
            PackedStep.Interleave(scales, (float*)(target + PackedStep.WeightScalesAt));
            if (format.HasMinima)
            {
                PackedStep.Interleave(minima, (float*)(target + PackedStep.WeightMinimaAt));
            }
        }
    }

    private ReadOnlySpan<byte> Span(int first, int count) => blocks.Span((long)first * rowBytes, checked(count * rowBytes));
}

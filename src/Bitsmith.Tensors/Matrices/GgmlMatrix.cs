using System.Runtime.CompilerServices;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices.Packed;

namespace Bitsmith.Tensors.Matrices;

/// <summary>GGML blocks.</summary>
internal sealed unsafe class GgmlMatrix : PackedMatrix
{
    private readonly GgmlFormat format;
    private readonly TensorBytes blocks;
    private readonly int rowBytes;

    public GgmlMatrix(GgmlFormat format, int rows, int columns, TensorBytes blocks)
        : base(rows, columns, format.HasMinima, InputRounding.For(format))
    {
        rowBytes = checked((int)format.RowBytes(columns));
        Require(blocks, (long)rows * rowBytes, nameof(blocks));
        (this.format, this.blocks) = (format, blocks);
    }

    public override long Bytes => blocks.Length;

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet) => format.Decode(Span(first, count), target, instructionSet);

    public override void Release() => blocks.Release();

    [SkipLocalsInit]
    private protected override void Pack(int row, byte* target)
    {
        Span<sbyte> codes = stackalloc sbyte[PackedStep.Codes];
        Span<float> scales = stackalloc float[PackedStep.Lanes], minima = stackalloc float[PackedStep.Lanes];
        int stepBytes = PackedStep.Columns / format.BlockValues * format.BlockBytes;
        for (ReadOnlySpan<byte> rest = Span(row, 1); !rest.IsEmpty; rest = rest[Math.Min(stepBytes, rest.Length)..], target += PackedStep.WeightBytes(format.HasMinima))
        {
            int groups = PackedStep.Lanes;
            if (rest.Length < stepBytes)
            {
                groups = rest.Length / format.BlockBytes * format.BlockValues / Unpacking.Group;
                codes.Clear();
                scales.Clear();
                minima.Clear();
            }

            format.Unpack(rest[..Math.Min(stepBytes, rest.Length)], codes[..(groups * Unpacking.Group)], scales[..groups], minima[..groups]);
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

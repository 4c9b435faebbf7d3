using System.Buffers.Binary;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 128 bits: x = d where the bit is set, -d where it is not. The best d is the weighted mean of the magnitudes.</summary>
internal sealed class Q1_0() : GgmlFormat(GgmlType.Q1_0, 128, 18)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 128; i++)
        {
            values[i] = ((block[2 + (i / 8)] >> (i % 8)) & 1) != 0 ? d : -d;
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        for (int group = 0; group < scales.Length; group++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(group / 8 * 18, 18);
            scales[group] = HalfScale.Read(block);
            int bits = BinaryPrimitives.ReadUInt16LittleEndian(block[(2 + (group % 8 * 2))..]);
            for (int i = 0; i < 16; i++)
            {
                codes[(16 * group) + i] = (sbyte)((((bits >> i) & 1) * 2) - 1);
            }
        }
    }

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
    {
        NonFiniteWeightException.ThrowIfAny(values, columns);
        for (int start = 0; start < values.Length; start += BlockValues)
        {
            EncodeBlock(values.Slice(start, BlockValues), weights.Slice(start % columns, BlockValues), blocks.Slice(start / BlockValues * BlockBytes, BlockBytes));
        }
    }

    private static void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        double sum = 0, weight = 0;
        block.Clear();
        for (int i = 0; i < 128; i++)
        {
            sum += (double)weights[i] * Math.Abs(values[i]);
            weight += weights[i];
            block[2 + (i / 8)] |= (byte)((values[i] >= 0 ? 1 : 0) << (i % 8));
        }

        HalfScale.Write(block, (float)(sum / weight));
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary32), 256 signed bytes, the sums of each 16 of them (signed 16 bits). x = d code. The form that activations take in products with the K types; as
/// ggml's own encoder has it, the value of largest magnitude becomes -127 and weights do not count.
/// </summary>
internal sealed class Q8_K() : GgmlFormat(GgmlType.Q8_K, 256, 292)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = BinaryPrimitives.ReadSingleLittleEndian(block);
        for (int i = 0; i < 256; i++)
        {
            values[i] = d * (sbyte)block[4 + i];
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        scales.Fill(BinaryPrimitives.ReadSingleLittleEndian(blocks));
        MemoryMarshal.Cast<byte, sbyte>(blocks.Slice(4, 256)).CopyTo(codes);
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
        float extreme = 0;
        foreach (float value in values)
        {
            extreme = Math.Abs(value) > Math.Abs(extreme) ? value : extreme;
        }

        block.Clear();
        float inverse = -127 / extreme;
        if (extreme == 0 || !float.IsFinite(inverse))
        {
            return;
        }

        float d = 1 / inverse;
        BinaryPrimitives.WriteSingleLittleEndian(block, float.IsFinite(d * 127) ? d : MathF.BitDecrement(Math.Abs(d)) * Math.Sign(d));
        for (int group = 0; group < 16; group++)
        {
            int sum = 0;
            for (int i = 16 * group; i < (16 * group) + 16; i++)
            {
                int code = Math.Min((int)MathF.Round(values[i] * inverse), 127);
                block[4 + i] = (byte)code;
                sum += code;
            }

            BinaryPrimitives.WriteInt16LittleEndian(block[(260 + (2 * group))..], (short)sum);
        }
    }
}

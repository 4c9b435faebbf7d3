using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), then for each 32 values four point numbers (a byte each) and a word with four times seven sign bits and a four-bit scale on top.
/// x = d (scale + 1/2) / 4 * point * sign.
/// </summary>
internal sealed class IQ2_XXS() : GgmlFormat(GgmlType.IQ2_XXS, 256, 66)
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 0.25f);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int group = 0; group < 8; group++)
        {
            ReadOnlySpan<byte> bytes = block.Slice(2 + (8 * group), 8);
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            float step = d * (0.5f + (word >> 28)) * 0.25f;
            for (int run = 0; run < 4; run++)
            {
                int signs = EvenSigns.Expand((int)(word >> (7 * run)) & 127);
                Signs.Apply(step, Grid.Iq2Xxs.Point(bytes[run]), signs, values.Slice((32 * group) + (8 * run), 8));
            }
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int group = 0; group < 8; group++)
        {
            ReadOnlySpan<byte> bytes = blocks.Slice(2 + (8 * group), 8);
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            scales[2 * group] = scales[(2 * group) + 1] = d * (0.5f + (word >> 28)) * 0.25f;
            for (int run = 0; run < 4; run++)
            {
                words[(4 * group) + run] = Unpacking.Signed(Grid.Iq2Xxs.Bytes(bytes[run]), EvenSigns.Expand((int)(word >> (7 * run)) & 127));
            }
        }
    }

    private protected override void EncodeRow(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set)
    {
        for (; values.Length > 0; values = values[BlockValues..], weights = weights[BlockValues..], blocks = blocks[BlockBytes..])
        {
            EncodeBlock(values[..BlockValues], weights[..BlockValues], blocks[..BlockBytes]);
        }
    }

    private static void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> scales = stackalloc int[8];
        MagnitudeGroups groups = new(values, weights, 32, Grid.Iq2Xxs, evenSigns: true);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        HalfScale.Write(block, d);
        for (int group = 0; group < 8; group++)
        {
            Span<byte> bytes = block.Slice(2 + (8 * group), 8);
            uint word = (uint)scales[group] << 28;
            for (int run = 0; run < 4; run++)
            {
                (int point, _, byte signs) = groups.Assign((32 * group) + (8 * run), d * Scales.Factor(scales[group]));
                bytes[run] = (byte)point;
                word |= (uint)EvenSigns.Shorten(signs) << (7 * run);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], word);
        }
    }
}

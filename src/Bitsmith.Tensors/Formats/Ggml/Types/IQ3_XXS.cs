using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), a point number (a byte) for each four values, then for each 32 values a word with four times seven sign bits and a four-bit scale on top.
/// x = d (scale + 1/2) / 2 * point * sign.
/// </summary>
internal sealed class IQ3_XXS() : GgmlFormat(GgmlType.IQ3_XXS, 256, 98)
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 0.5f);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int run = 0; run < 32; run++)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(block[(66 + (run / 4 * 4))..]);
            float step = d * (0.5f + (word >> 28)) * 0.5f;
            int signs = EvenSigns.Expand((int)(word >> (run % 4 * 7)) & 127);
            Signs.Apply(step, Grid.Iq3Xxs.Point(block[2 + (2 * run)]), signs, values.Slice(8 * run, 4));
            Signs.Apply(step, Grid.Iq3Xxs.Point(block[3 + (2 * run)]), signs >> 4, values.Slice((8 * run) + 4, 4));
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(blocks[(66 + (run / 4 * 4))..]);
            scales[run / 2] = d * (0.5f + (word >> 28)) * 0.5f;
            ulong point = Grid.Iq3Xxs.Bytes(blocks[2 + (2 * run)]) | (Grid.Iq3Xxs.Bytes(blocks[3 + (2 * run)]) << 32);
            words[run] = Unpacking.Signed(point, EvenSigns.Expand((int)(word >> (run % 4 * 7)) & 127));
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
        MagnitudeGroups groups = new(values, weights, 32, Grid.Iq3Xxs, evenSigns: true);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        HalfScale.Write(block, d);
        for (int group = 0; group < 8; group++)
        {
            uint word = (uint)scales[group] << 28;
            for (int run = 4 * group; run < (4 * group) + 4; run++)
            {
                (int first, int second, byte signs) = groups.Assign(8 * run, d * Scales.Factor(scales[group]));
                (block[2 + (2 * run)], block[3 + (2 * run)]) = ((byte)first, (byte)second);
                word |= (uint)EvenSigns.Shorten(signs) << (run % 4 * 7);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(block[(66 + (4 * group))..], word);
        }
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// d (binary16), a word of 16 bits for each eight values (point number in nine bits, seven sign bits), a four-bit scale for each 16 values.
/// x = d (scale + 1/2) / 4 * point * sign.
/// </summary>
internal sealed class IQ2_XS() : GgmlFormat(GgmlType.IQ2_XS, 256, 74)
{
    private static readonly ScaleCodes Scales = new(0, 15, 0.5f, 0.25f);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int run = 0; run < 32; run++)
        {
            int word = BinaryPrimitives.ReadUInt16LittleEndian(block[(2 + (2 * run))..]), scale = (block[66 + (run / 4)] >> (run / 2 % 2 * 4)) & 15;
            Signs.Apply(d * (0.5f + scale) * 0.25f, Grid.Iq2Xs.Point(word & 511), EvenSigns.Expand(word >> 9), values.Slice(8 * run, 8));
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        float d = HalfScale.Read(blocks);
        Span<ulong> words = MemoryMarshal.Cast<sbyte, ulong>(codes);
        for (int run = 0; run < 32; run++)
        {
            int word = BinaryPrimitives.ReadUInt16LittleEndian(blocks[(2 + (2 * run))..]), scale = (blocks[66 + (run / 4)] >> (run / 2 % 2 * 4)) & 15;
            scales[run / 2] = d * (0.5f + scale) * 0.25f;
            words[run] = Unpacking.Signed(Grid.Iq2Xs.Bytes(word & 511), EvenSigns.Expand(word >> 9));
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
        Span<int> scales = stackalloc int[16];
        MagnitudeGroups groups = new(values, weights, 16, Grid.Iq2Xs, evenSigns: true);
        float d = ScaleSearch.Find(ref groups, Scales, scales);
        HalfScale.Write(block, d);
        for (int run = 0; run < 32; run++)
        {
            (int point, _, byte signs) = groups.Assign(8 * run, d * Scales.Factor(scales[run / 2]));
            BinaryPrimitives.WriteUInt16LittleEndian(block[(2 + (2 * run))..], (ushort)(point | (EvenSigns.Shorten(signs) << 9)));
        }

        Bits.PackScalePairs(scales, block[66..]);
    }
}

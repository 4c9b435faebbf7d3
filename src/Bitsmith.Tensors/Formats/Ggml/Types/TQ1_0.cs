using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// 48 bytes of five ternary digits, 4 bytes of four, d (binary16). x = d (digit - 1). Digit n, most significant first, of byte m of the first 32 is value
/// 32n + m; of the next 16, value 160 + 16n + m; of the last 4, value 240 + 4n + m. A byte is the fraction 0.digits in base 3, in units of 1/256, rounded up.
/// </summary>
internal sealed class TQ1_0() : GgmlFormat(GgmlType.TQ1_0, 256, 54), ILaneEncoder
{
    private static readonly int[] Powers = [1, 3, 9, 27, 81];

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block[52..]);
        for (int i = 0; i < 256; i++)
        {
            (int place, int digit) = Place(i);
            int fraction = (block[place] * Powers[digit]) & 255;
            values[i] = d * ((fraction * 3 >> 8) - 1);
        }
    }

    internal override void Unpack(ReadOnlySpan<byte> blocks, Span<sbyte> codes, Span<float> scales, Span<float> minima)
    {
        scales.Fill(HalfScale.Read(blocks[52..]));
        for (int i = 0; i < 256; i++)
        {
            (int place, int digit) = Place(i);
            codes[i] = (sbyte)((((blocks[place] * Powers[digit]) & 255) * 3 >> 8) - 1);
        }
    }

    static int ILaneEncoder.GroupSize => 256;

    private protected override void EncodeRows(ReadOnlySpan<float> values, int columns, ReadOnlySpan<float> weights, Span<byte> blocks, InstructionSet set) =>
        LaneEncoding.Encode<TQ1_0>(this, values, columns, weights, blocks, set);

    static void ILaneEncoder.EncodeBlocks<TLanes>(in LaneGroups lanes, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[lanes.Count];
        Span<byte> codes = stackalloc byte[256];
        ScaleSearch<TLanes, LevelGroups<TernaryLevels>>.Find(lanes, scales);
        for (int i = 0; i < scales.Length; i++)
        {
            LevelGroups<TernaryLevels>.WriteCodes<TLanes>(values.Slice(256 * i, 256), scales[i], codes);
            Pack<TLanes>(codes, blocks.Slice(54 * i, 54));
            HalfScale.Write(blocks[((54 * i) + 52)..], scales[i]);
        }
    }

    private static void Pack<TLanes>(ReadOnlySpan<byte> codes, Span<byte> bytes)
        where TLanes : struct, ILanes16<TLanes>
    {
        for (int place = 0; place < 48; place += LaneMath.Width)
        {
            // The first 32 bytes hold every 32nd of 160 digits, the next 16 every 16th of 80.
            (int first, int stride) = place < 32 ? (place, 32) : (160, 16);
            TLanes number = TLanes.Broadcast(0);
            for (int digit = 0; digit < 5; digit++)
            {
                number = number + number + number + TLanes.Load8(in codes[first + (digit * stride)]);
            }

            TLanes.Store8(Fraction(number), ref bytes[place]);
        }

        for (int place = 0; place < 4; place++)
        {
            int number = 0;
            for (int digit = 0; digit < 4; digit++)
            {
                number = (3 * number) + codes[240 + place + (4 * digit)];
            }

            bytes[48 + place] = (byte)(((3 * number * 256) + 242) / 243);
        }
    }

    /// <summary>Numbers below 243 over 243, in units of 1/256, rounded up: their fractions are multiples of 1/243, all of which 0.498 takes to the right side of a half.</summary>
    private static TLanes Fraction<TLanes>(TLanes number)
        where TLanes : struct, ILanes16<TLanes> =>
        IntegerLevels.ToInteger(TLanes.AddF(TLanes.MultiplyF(LaneDecoding.ToSingle(number, 0), LaneMath.Single<TLanes>(256f / 243)), LaneMath.Single<TLanes>(0.498f)));

    private static (int Place, int Digit) Place(int i) => i switch
    {
        < 160 => (i % 32, i / 32),
        < 240 => (32 + (i % 16), (i - 160) / 16),
        _ => (48 + (i % 4), (i - 240) / 4),
    };
}

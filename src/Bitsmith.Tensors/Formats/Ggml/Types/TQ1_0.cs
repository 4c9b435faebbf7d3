using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>
/// 48 bytes of five ternary digits, 4 bytes of four, d (binary16). x = d (digit - 1). Digit n, most significant first, of byte m of the first 32 is value
/// 32n + m; of the next 16, value 160 + 16n + m; of the last 4, value 240 + 4n + m. A byte is the fraction 0.digits in base 3, in units of 1/256, rounded up.
/// </summary>
internal sealed class TQ1_0() : GgmlFormat(GgmlType.TQ1_0, 256, 54)
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

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[256], numbers = stackalloc int[52];
        HalfScale.Write(block[52..], Ternary.Encode(values, weights, codes));
        numbers.Clear();
        for (int i = 0; i < 256; i++)
        {
            (int place, int digit) = Place(i);
            numbers[place] += codes[i] * Powers[4 - digit];
        }

        for (int place = 0; place < numbers.Length; place++)
        {
            block[place] = (byte)(((numbers[place] * 256) + 242) / 243);
        }
    }

    private static (int Place, int Digit) Place(int i) => i switch
    {
        < 160 => (i % 32, i / 32),
        < 240 => (32 + (i % 16), (i - 160) / 16),
        _ => (48 + (i % 4), (i - 240) / 4),
    };
}

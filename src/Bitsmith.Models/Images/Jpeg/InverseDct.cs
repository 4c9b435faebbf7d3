namespace Bitsmith.Models.Images.Jpeg;

/// <summary>
/// The inverse cosine transform of 8 x 8 blocks: Loeffler, Ligtenberg and Moschytz (ICASSP 1989, pages 988 to 991) in the integer form
/// that libjpeg calls "islow", with 13 fraction bits and 2 kept between the passes. Other exact forms round differently; this one gives libjpeg's bytes.
/// </summary>
internal static class InverseDct
{
    private const int FractionBits = 13;
    private const int KeptBits = 2;

    // round(x * 2^13)
    private const int F0298631336 = 2446, F0390180644 = 3196, F0541196100 = 4433, F0765366865 = 6270;
    private const int F0899976223 = 7373, F1175875602 = 9633, F1501321110 = 12299, F1847759065 = 15137;
    private const int F1961570560 = 16069, F2053119869 = 16819, F2562915447 = 20995, F3072711026 = 25172;

    /// <summary>Multiplies by the quantization table, transforms, shifts the level by 128 and clips to bytes.</summary>
    /// <param name="block">64 coefficients in natural order.</param>
    /// <param name="quantization">64 factors in natural order.</param>
    /// <param name="samples">Where the upper left sample goes.</param>
    /// <param name="stride">Bytes from row to row.</param>
    public static void Transform(ReadOnlySpan<short> block, ReadOnlySpan<ushort> quantization, Span<byte> samples, int stride)
    {
        Span<int> work = stackalloc int[64];
        block = block[..64];
        quantization = quantization[..64];
        for (int x = 0; x < 8; x++)
        {
            int dc = Scaled(block, quantization, x);
            if (block[x + 8] == 0 && block[x + 16] == 0 && block[x + 24] == 0 && block[x + 32] == 0
                && block[x + 40] == 0 && block[x + 48] == 0 && block[x + 56] == 0)
            {
                int flat = dc << KeptBits; // what the full computation gives, too
                for (int y = 0; y < 64; y += 8)
                {
                    work[x + y] = flat;
                }

                continue;
            }

            Pass pass = new(
                dc, Scaled(block, quantization, x + 8), Scaled(block, quantization, x + 16), Scaled(block, quantization, x + 24),
                Scaled(block, quantization, x + 32), Scaled(block, quantization, x + 40), Scaled(block, quantization, x + 48),
                Scaled(block, quantization, x + 56));
            const int Shift = FractionBits - KeptBits, Half = 1 << (Shift - 1);
            work[x] = (pass.Even0 + pass.Odd0 + Half) >> Shift;
            work[x + 56] = (pass.Even0 - pass.Odd0 + Half) >> Shift;
            work[x + 8] = (pass.Even1 + pass.Odd1 + Half) >> Shift;
            work[x + 48] = (pass.Even1 - pass.Odd1 + Half) >> Shift;
            work[x + 16] = (pass.Even2 + pass.Odd2 + Half) >> Shift;
            work[x + 40] = (pass.Even2 - pass.Odd2 + Half) >> Shift;
            work[x + 24] = (pass.Even3 + pass.Odd3 + Half) >> Shift;
            work[x + 32] = (pass.Even3 - pass.Odd3 + Half) >> Shift;
        }

        for (int y = 0; y < 8; y++)
        {
            Span<int> row = work.Slice(y * 8, 8);
            Span<byte> target = samples.Slice(y * stride, 8);
            Pass pass = new(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]);
            const int Shift = FractionBits + KeptBits + 3, Half = (1 << (Shift - 1)) + (128 << Shift);
            target[0] = Clip((pass.Even0 + pass.Odd0 + Half) >> Shift);
            target[7] = Clip((pass.Even0 - pass.Odd0 + Half) >> Shift);
            target[1] = Clip((pass.Even1 + pass.Odd1 + Half) >> Shift);
            target[6] = Clip((pass.Even1 - pass.Odd1 + Half) >> Shift);
            target[2] = Clip((pass.Even2 + pass.Odd2 + Half) >> Shift);
            target[5] = Clip((pass.Even2 - pass.Odd2 + Half) >> Shift);
            target[3] = Clip((pass.Even3 + pass.Odd3 + Half) >> Shift);
            target[4] = Clip((pass.Even3 - pass.Odd3 + Half) >> Shift);
        }
    }

    private static int Scaled(ReadOnlySpan<short> block, ReadOnlySpan<ushort> quantization, int index) => (short)(block[index] * quantization[index]);

    private static byte Clip(int value) => (byte)Math.Clamp(value, 0, 255);

    /// <summary>One transform of eight values: outputs n and 7 - n are the sum and the difference of Even n and Odd n.</summary>
    private readonly ref struct Pass
    {
        public readonly int Even0, Even1, Even2, Even3, Odd0, Odd1, Odd2, Odd3;

        public Pass(int in0, int in1, int in2, int in3, int in4, int in5, int in6, int in7)
        {
            int shared = (in2 + in6) * F0541196100;
            int two = shared - (in6 * F1847759065), three = shared + (in2 * F0765366865);
            int zero = (in0 + in4) << FractionBits, one = (in0 - in4) << FractionBits;
            Even0 = zero + three;
            Even3 = zero - three;
            Even1 = one + two;
            Even2 = one - two;

            int z5 = (in7 + in3 + in5 + in1) * F1175875602;
            int z1 = -(in7 + in1) * F0899976223, z2 = -(in5 + in3) * F2562915447;
            int z3 = (-(in7 + in3) * F1961570560) + z5, z4 = (-(in5 + in1) * F0390180644) + z5;
            Odd3 = (in7 * F0298631336) + z1 + z3;
            Odd2 = (in5 * F2053119869) + z2 + z4;
            Odd1 = (in3 * F3072711026) + z2 + z3;
            Odd0 = (in1 * F1501321110) + z1 + z4;
        }
    }
}

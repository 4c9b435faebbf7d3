namespace Bitsmith.Models.Images.Jpeg;

/// <summary>Sequential Huffman decoding (ITU-T T.81, F.2.2): each block is whole, and goes through the inverse transform at once.</summary>
internal readonly struct SequentialBlocks : IBlockDecoder
{
    private const int LongestDc = 15;
    private readonly short[] block = new short[64];

    public SequentialBlocks()
    {
    }

    public readonly void Restart()
    {
    }

    public readonly bool Decode(ref EntropyReader reader, JpegComponent component, int row, int column)
    {
        Array.Clear(block);
        reader.Load();
        int bits = component.DcTable!.Decode(ref reader);
        if (bits is < 0 or > LongestDc)
        {
            return false;
        }

        component.Predictor += reader.ReadSigned(bits);
        block[0] = (short)component.Predictor;
        HuffmanTable ac = component.AcTable!;
        ReadOnlySpan<byte> zigZag = JpegTables.ZigZag;
        for (int k = 1; k < 64; k++)
        {
            reader.Load();
            int symbol = ac.Decode(ref reader);
            if (symbol < 0)
            {
                return false;
            }

            int run = symbol >> 4, size = symbol & 15;
            if (size == 0)
            {
                if (run != 15)
                {
                    break; // end of block
                }

                k += 15;
                continue;
            }

            k += run;
            if (k > 63)
            {
                return false;
            }

            block[zigZag[k]] = (short)reader.ReadSigned(size);
        }

        int start = (row * 8 * component.Stride) + (column * 8);
        InverseDct.Transform(block, component.Quantization!, component.Samples.AsSpan(start), component.Stride);
        return true;
    }
}

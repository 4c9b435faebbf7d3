namespace Bitsmith.Models.Images.Jpeg;

/// <summary>
/// Progressive Huffman decoding (ITU-T T.81, G.1.2 and G.2): scans bring single bits or bands of the coefficients, which are gathered before the
/// inverse transform.
/// </summary>
internal struct ProgressiveBlocks(JpegScan scan) : IBlockDecoder
{
    private readonly bool isDc = scan.First == 0;
    private readonly bool isFirst = scan.PriorBit == 0;
    private readonly int first = scan.First;
    private readonly int last = scan.Last;
    private readonly int lowBit = scan.LowBit;

    /// <summary>How many blocks, the current one included, have no more coefficients in this band (EOBRUN).</summary>
    private int emptyBlocks;

    public void Restart() => emptyBlocks = 0;

    public bool Decode(ref EntropyReader reader, JpegComponent component, int row, int column)
    {
        Span<short> block = component.Coefficients.AsSpan(((row * component.PaddedBlocksWide) + column) * 64, 64);
        return isDc
            ? isFirst ? DcFirst(ref reader, component, block) : DcRefine(ref reader, block)
            : isFirst ? AcFirst(ref reader, component.AcTable!, block) : AcRefine(ref reader, component.AcTable!, block);
    }

    private readonly bool DcFirst(ref EntropyReader reader, JpegComponent component, Span<short> block)
    {
        reader.Load();
        int bits = component.DcTable!.Decode(ref reader);
        if (bits is < 0 or > 15)
        {
            return false;
        }

        component.Predictor += reader.ReadSigned(bits);
        block[0] = (short)(component.Predictor << lowBit);
        return true;
    }

    private readonly bool DcRefine(ref EntropyReader reader, Span<short> block)
    {
        if (reader.ReadBit())
        {
            block[0] |= (short)(1 << lowBit);
        }

        return true;
    }

    private bool AcFirst(ref EntropyReader reader, HuffmanTable table, Span<short> block)
    {
        if (emptyBlocks > 0)
        {
            emptyBlocks--;
            return true;
        }

        for (int k = first; k <= last; k++)
        {
            reader.Load();
            int symbol = table.Decode(ref reader);
            if (symbol < 0)
            {
                return false;
            }

            int run = symbol >> 4, size = symbol & 15;
            if (size == 0 && run < 15)
            {
                emptyBlocks = (1 << run) + reader.Read(run) - 1;
                return true;
            }

            k += run;
            if (size != 0)
            {
                if (k > 63)
                {
                    return false;
                }

                block[JpegTables.ZigZag[k]] = (short)(reader.ReadSigned(size) << lowBit);
            }
        }

        return true;
    }

    /// <summary>
    /// Correction bits for coefficients that are not zero are mixed with new coefficients, which can only be +1 or -1 at this bit (G.1.2.3).
    /// </summary>
    private bool AcRefine(ref EntropyReader reader, HuffmanTable table, Span<short> block)
    {
        int k = first;
        short one = (short)(1 << lowBit);
        if (emptyBlocks == 0)
        {
            while (k <= last)
            {
                reader.Load();
                int symbol = table.Decode(ref reader);
                if (symbol < 0)
                {
                    return false;
                }

                int run = symbol >> 4;
                short fresh = 0;
                if ((symbol & 15) != 0)
                {
                    if ((symbol & 15) != 1)
                    {
                        return false;
                    }

                    fresh = reader.Read(1) != 0 ? one : (short)-one;
                }
                else if (run < 15)
                {
                    emptyBlocks = (1 << run) + reader.Read(run);
                    break;
                }

                // Pass `run` coefficients that are still zero, correcting the others on the way.
                for (; k <= last; k++)
                {
                    ref short coefficient = ref block[JpegTables.ZigZag[k]];
                    if (coefficient != 0)
                    {
                        Correct(ref reader, ref coefficient, one);
                    }
                    else if (run-- == 0)
                    {
                        break;
                    }
                }

                if (fresh != 0)
                {
                    if (k > last)
                    {
                        return false;
                    }

                    block[JpegTables.ZigZag[k]] = fresh;
                }

                k++;
            }
        }

        if (emptyBlocks > 0)
        {
            for (; k <= last; k++)
            {
                ref short coefficient = ref block[JpegTables.ZigZag[k]];
                if (coefficient != 0)
                {
                    Correct(ref reader, ref coefficient, one);
                }
            }

            emptyBlocks--;
        }

        return true;
    }

    private static void Correct(ref EntropyReader reader, ref short coefficient, short one)
    {
        if (reader.ReadBit() && (coefficient & one) == 0)
        {
            coefficient += coefficient >= 0 ? one : (short)-one;
        }
    }
}

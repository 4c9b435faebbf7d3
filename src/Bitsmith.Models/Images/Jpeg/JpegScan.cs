namespace Bitsmith.Models.Images.Jpeg;

/// <summary>A scan header (ITU-T T.81, B.2.3), checked against the frame and the tables.</summary>
internal sealed class JpegScan
{
    private const int MostBlocksInMcu = 10; // B.2.3

    public required JpegFrame Frame { get; init; }

    public required JpegComponent[] Components { get; init; }

    public required int RestartInterval { get; init; }

    /// <summary>First and last coefficient of the band, in zigzag order.</summary>
    public required int First { get; init; }

    public required int Last { get; init; }

    /// <summary>Lowest bit of this scan, and of the scan before that this one refines; 0 for a first scan.</summary>
    public required int LowBit { get; init; }

    public required int PriorBit { get; init; }

    public static JpegScan Parse(in JpegSegments segments, JpegFrame frame, JpegTables tables)
    {
        ReadOnlySpan<byte> content = segments.Content;
        int count = content.IsEmpty ? 0 : content[0];
        if (count is 0 or > 4 || content.Length != 4 + (2 * count))
        {
            throw segments.Damaged($"the scan header names {count} components in {content.Length} bytes, expected 1 to 4 in {4 + (2 * count)}.");
        }

        JpegScan scan = new()
        {
            Frame = frame,
            Components = new JpegComponent[count],
            RestartInterval = tables.RestartInterval,
            First = content[^3],
            Last = content[^2],
            PriorBit = content[^1] >> 4,
            LowBit = content[^1] & 15,
        };
        int blocks = 0;
        for (int i = 0; i < count; i++)
        {
            byte id = content[1 + (2 * i)], slots = content[2 + (2 * i)];
            JpegComponent component = Array.Find(frame.Components, component => component.Id == id)
                ?? throw segments.Damaged($"the scan names component {id}, which the frame does not have.");
            if (scan.Components.AsSpan(0, i).Contains(component))
            {
                throw segments.Damaged($"the scan names component {id} twice.");
            }

            component.Quantization ??= tables.Quantization(component.QuantizationIndex)
                ?? throw segments.Damaged($"quantization table {component.QuantizationIndex} is used before it is defined.");
            component.DcTable = tables.Dc(slots >> 4);
            component.AcTable = tables.Ac(slots & 15);
            scan.Components[i] = component;
            blocks += component.Horizontal * component.Vertical;
        }

        if (count > 1 && blocks > MostBlocksInMcu)
        {
            throw segments.Damaged($"an MCU of {blocks} blocks, at most {MostBlocksInMcu} are allowed.");
        }

        if (frame.IsProgressive)
        {
            scan.CheckProgression(segments);
        }
        else
        {
            scan.CheckOnce(segments);
        }

        scan.CheckTables(segments);
        return scan;
    }

    /// <summary>
    /// Calls for each block of the scan in coding order, with restarts between (A.2, E.2.4). A scan of one component has just the blocks that
    /// hold picture; otherwise MCUs are padded.
    /// </summary>
    public int Decode<TBlocks>(ReadOnlySpan<byte> data, int position, ref TBlocks blocks, string source)
        where TBlocks : struct, IBlockDecoder, allows ref struct
    {
        EntropyReader reader = new(data, position);
        bool single = Components.Length == 1;
        int wide = single ? Components[0].BlocksWide : Frame.McusWide;
        int high = single ? Components[0].BlocksHigh : Frame.McusHigh;
        int untilRestart = RestartInterval, restart = 0;
        Restart(ref blocks);
        for (int row = 0; row < high; row++)
        {
            for (int column = 0; column < wide; column++)
            {
                if (RestartInterval > 0 && untilRestart == 0)
                {
                    int marker = reader.PassMarker();
                    if (marker != JpegMarker.FirstRestart + restart)
                    {
                        throw ImageException.Damaged(source, $"restart marker {JpegMarker.FirstRestart + restart:X2} is missing at byte {reader.Position}.");
                    }

                    Restart(ref blocks);
                    restart = (restart + 1) & 7;
                    untilRestart = RestartInterval;
                }

                untilRestart--;
                bool sound = single ? blocks.Decode(ref reader, Components[0], row, column) : DecodeMcu(ref reader, ref blocks, row, column);
                if (!sound || reader.Overrun)
                {
                    throw ImageException.Damaged(source,
                        $"the pixel data {(sound ? "end" : "make no sense")} near byte {reader.Position}, in block row {row} of {high}, column {column} of {wide}.");
                }
            }
        }

        return reader.Position;
    }

    private bool DecodeMcu<TBlocks>(ref EntropyReader reader, ref TBlocks blocks, int row, int column)
        where TBlocks : struct, IBlockDecoder, allows ref struct
    {
        foreach (JpegComponent component in Components)
        {
            for (int y = 0; y < component.Vertical; y++)
            {
                for (int x = 0; x < component.Horizontal; x++)
                {
                    if (!blocks.Decode(ref reader, component, (row * component.Vertical) + y, (column * component.Horizontal) + x))
                    {
                        return false;
                    }
                }
            }
        }

        return true;
    }

    private void Restart<TBlocks>(ref TBlocks blocks)
        where TBlocks : struct, IBlockDecoder, allows ref struct
    {
        foreach (JpegComponent component in Components)
        {
            component.Predictor = 0;
        }

        blocks.Restart();
    }

    /// <summary>
    /// The rules of G.1.1.1 and table B.3. Each bit of a coefficient comes once: that also bounds the work that a file can ask for.
    /// </summary>
    private void CheckProgression(in JpegSegments segments)
    {
        bool dc = First == 0;
        if (First > Last || Last > 63 || (dc && Last > 0) || (!dc && Components.Length > 1) || LowBit > 13 || (PriorBit > 0 && PriorBit != LowBit + 1))
        {
            throw segments.Damaged($"a progressive scan of coefficients {First} to {Last}, bits {PriorBit} to {LowBit}, with {Components.Length} components is not possible.");
        }

        foreach (JpegComponent component in Components)
        {
            if (!dc && component.BitsRead[0] < 0)
            {
                throw segments.Damaged($"component {component.Id} has a scan of AC coefficients before its DC scan.");
            }

            for (int k = First; k <= Last; k++)
            {
                if (component.BitsRead[k] != (PriorBit == 0 ? -1 : PriorBit))
                {
                    throw segments.Damaged($"coefficient {k} of component {component.Id} comes a second time or out of order.");
                }

                component.BitsRead[k] = LowBit;
            }
        }
    }

    private void CheckOnce(in JpegSegments segments)
    {
        foreach (JpegComponent component in Components)
        {
            if (component.BitsRead[0] >= 0)
            {
                throw segments.Damaged($"component {component.Id} comes a second time.");
            }

            component.BitsRead[0] = 0;
        }
    }

    private void CheckTables(in JpegSegments segments)
    {
        bool needsDc = !Frame.IsProgressive || (First == 0 && PriorBit == 0);
        bool needsAc = !Frame.IsProgressive || First > 0;
        foreach (JpegComponent component in Components)
        {
            if ((needsDc && component.DcTable is null) || (needsAc && component.AcTable is null))
            {
                throw segments.Damaged($"component {component.Id} uses a Huffman table that is not defined before.");
            }
        }
    }
}

/// <summary>What a scan does with the bits of one block.</summary>
internal interface IBlockDecoder
{
    /// <summary>Reads a block; false when its bits are no valid code.</summary>
    /// <param name="reader">The bits.</param>
    /// <param name="component">The component, with its tables and its predictor.</param>
    /// <param name="row">The row of blocks in the component.</param>
    /// <param name="column">The column of blocks in the component.</param>
    bool Decode(ref EntropyReader reader, JpegComponent component, int row, int column);

    /// <summary>Forgets what earlier blocks left behind.</summary>
    void Restart();
}

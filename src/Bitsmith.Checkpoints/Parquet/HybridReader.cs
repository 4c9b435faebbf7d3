namespace Bitsmith.Checkpoints.Parquet;

/// <summary>
/// Numbers in Parquet's mix of runs and packed bits (parquet-format, Encodings.md, RLE = 3): a varint whose lowest bit tells a run of one value from groups of eight values, each of as many bits
/// as the width says, lowest bit first.
/// </summary>
/// <param name="buffer">Holds the numbers.</param>
/// <param name="start">Where they start.</param>
/// <param name="end">Where they end.</param>
/// <param name="width">Bits of a number, 0 to 32.</param>
internal sealed class HybridReader(byte[] buffer, int start, int end, int width)
{
    private int place = start;
    private long left;
    private bool packed;
    private long bit;
    private uint value;

    /// <summary>The next number.</summary>
    /// <exception cref="InvalidDataException">There is none.</exception>
    public uint Next()
    {
        while (left == 0)
        {
            Run();
        }

        left--;
        return packed ? Packed() : value;
    }

    private void Run()
    {
        ulong head = 0;
        for (int shift = 0; ; shift += 7)
        {
            if (place == end || shift > 63)
            {
                throw new InvalidDataException("its numbers end before its values do");
            }

            byte part = buffer[place++];
            head |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
            {
                break;
            }
        }

        packed = (head & 1) == 1;
        long count = (long)Math.Min(head >> 1, int.MaxValue);
        if (packed)
        {
            (left, bit) = (count * 8, (long)place * 8);
            place = (int)Math.Min(end, place + (count * width)); // a writer may leave out the last group's padding
            return;
        }

        int bytes = (width + 7) / 8;
        if (bytes > end - place)
        {
            throw new InvalidDataException("its numbers end inside a run");
        }

        (left, value) = (count, 0);
        for (int i = 0; i < bytes; i++)
        {
            value |= (uint)buffer[place++] << (8 * i);
        }
    }

    private uint Packed()
    {
        if (bit + width > (long)place * 8)
        {
            throw new InvalidDataException("its packed numbers end before its values do");
        }

        ulong bits = 0;
        int first = (int)(bit / 8), shift = (int)(bit % 8);
        for (int i = 0; i * 8 < shift + width; i++)
        {
            bits |= (ulong)buffer[first + i] << (8 * i);
        }

        bit += width;
        return (uint)((bits >> shift) & ((1UL << width) - 1));
    }
}

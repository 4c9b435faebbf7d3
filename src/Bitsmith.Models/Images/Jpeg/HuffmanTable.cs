namespace Bitsmith.Models.Images.Jpeg;

/// <summary>A Huffman table of a DHT segment (ITU-T T.81, annex C), ready for decoding.</summary>
internal sealed class HuffmanTable
{
    private const int LongestCode = 16;
    private const int LookupBits = 9;

    /// <summary>For each value of the next 9 bits: code length in the high byte, symbol in the low one; 0 where the code is longer.</summary>
    private readonly ushort[] lookup = new ushort[1 << LookupBits];

    /// <summary>The largest code of each length, -1 where there is none.</summary>
    private readonly int[] largest = new int[LongestCode + 1];

    /// <summary>What to add to a code of each length to get the index of its symbol.</summary>
    private readonly int[] offset = new int[LongestCode + 1];
    private readonly byte[] symbols;

    private HuffmanTable(byte[] symbols) => this.symbols = symbols;

    /// <summary>Builds a table, or returns null when the counts are no prefix code.</summary>
    /// <param name="counts">How many codes of length 1 to 16 there are.</param>
    /// <param name="symbols">Their symbols, by length.</param>
    public static HuffmanTable? Create(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> symbols)
    {
        HuffmanTable table = new(symbols.ToArray());
        int code = 0, index = 0;
        for (int length = 1; length <= LongestCode; length++, code <<= 1)
        {
            int count = counts[length - 1];
            if (code + count > 1 << length)
            {
                return null;
            }

            table.offset[length] = index - code;
            table.largest[length] = count == 0 ? -1 : code + count - 1;
            for (int i = 0; i < count; i++, code++, index++)
            {
                if (length <= LookupBits)
                {
                    int spread = 1 << (LookupBits - length);
                    table.lookup.AsSpan(code * spread, spread).Fill((ushort)((length << 8) | symbols[index]));
                }
            }
        }

        return table;
    }

    /// <summary>Reads one symbol, or returns -1 when the bits are no code of this table. At least 16 bits must be loaded.</summary>
    public int Decode(ref EntropyReader reader)
    {
        int entry = lookup[reader.Peek(LookupBits)];
        if (entry != 0)
        {
            reader.Skip(entry >> 8);
            return entry & 0xFF;
        }

        int bits = reader.Peek(LongestCode);
        for (int length = LookupBits + 1; length <= LongestCode; length++)
        {
            int code = bits >> (LongestCode - length);
            if (code <= largest[length])
            {
                reader.Skip(length);
                return symbols[code + offset[length]];
            }
        }

        return -1;
    }
}

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// Zero points of groups as compressed-tensors packs them: a matrix of little-endian 32-bit words, one column for each group of a row, one row for every eight rows of the weight; row r's zero point stands, plus 8, in
/// bits 4 (r mod 8) to 4 (r mod 8) + 3. Rows that the last word has no weight for are zero bits.
/// </summary>
public static class ZeroPoints
{
    /// <summary>Rows of the weight whose zero points share a word.</summary>
    public const int RowsInWord = 8;

    /// <summary>Rows of words for some rows of a weight.</summary>
    public static int WordRows(int rows) => (rows + RowsInWord - 1) / RowsInWord;

    /// <summary>Bytes for some rows of a weight with so many groups in a row.</summary>
    public static long BytesOf(int rows, int groups) => (long)WordRows(rows) * groups * sizeof(uint);

    /// <summary>Reads the zero points of consecutive groups of a row.</summary>
    /// <param name="packed">Rows of words, row 0 of the weight in the first bits.</param>
    /// <param name="groups">Groups of a row.</param>
    /// <param name="row">The row.</param>
    /// <param name="first">The first group.</param>
    /// <param name="values">Receives integers from -8 to 7.</param>
    public static void Read(ReadOnlySpan<byte> packed, int groups, int row, int first, Span<float> values)
    {
        for (int i = 0, place = PlaceOf(groups, row, first); i < values.Length; i++, place += sizeof(uint))
        {
            values[i] = ((packed[place] >> ShiftOf(row)) & 15) + Int4Group.Lowest;
        }
    }

    /// <summary>Writes the zero points of consecutive groups of a row over zero bits.</summary>
    internal static void Write(Span<byte> packed, int groups, int row, int first, ReadOnlySpan<float> values)
    {
        for (int i = 0, place = PlaceOf(groups, row, first); i < values.Length; i++, place += sizeof(uint))
        {
            packed[place] |= (byte)(((int)values[i] - Int4Group.Lowest) << ShiftOf(row));
        }
    }

    // The byte with the row's bits, for words are little-endian.
    private static int PlaceOf(int groups, int row, int group) => (((row / RowsInWord * groups) + group) * sizeof(uint)) + (row % RowsInWord / 2);

    private static int ShiftOf(int row) => row % 2 * 4;
}
